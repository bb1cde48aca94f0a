"""The GPT of lesson 8 on the lecture's text, over its whole validation part. Skipped where LESSONS_DATA does not name its folder."""

import importlib
import os
import sys
from pathlib import Path

import pytest

from lessons_lib.data import load_text
from lessons_lib.tokenizers import BPE
from lessons_lib.training import setup
from lessons_lib.transformer import text_loss

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

texts = importlib.import_module("texts")
fast = importlib.import_module("fast")

pytestmark = [
    pytest.mark.canonical,
    pytest.mark.skipif(not os.environ.get("LESSONS_DATA"), reason="LESSONS_DATA is not set"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    setup()


@pytest.fixture(scope="module")
def text():
    return texts.in_characters(load_text("tinyshakespeare"))


def test_the_text_and_its_parts_are_the_lectures(text):
    assert (len(text.train), len(text.val), text.size) == (1_003_854, 111_540, 65)


@pytest.mark.parametrize(("steps", "at_most"), [(330, 1.88), (750, 1.75)])
def test_the_fast_recipe_reaches_the_loss_of_a_longer_one(text, steps, at_most):
    model, _ = texts.trained(fast.LARGE._replace(steps=steps), text, seed=1)
    assert text_loss(model, text.val) <= at_most


def test_512_tokens_of_the_lectures_text_halve_its_length_and_read_back():
    text = load_text("tinyshakespeare")
    tokenizer = BPE.train(text, 512)
    numbers = tokenizer.encode(text)
    assert tokenizer.size == 512
    assert 1.9 < len(text) / len(numbers) < 2.0
    assert tokenizer.decode(numbers) == text
