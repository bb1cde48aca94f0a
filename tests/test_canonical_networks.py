"""The networks of lessons 4, 5 and 7 on the lectures' own names and split. Skipped where LESSONS_DATA does not name their folder."""

import importlib
import os
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.training import setup, split_loss

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

starts = importlib.import_module("starts")
readers = importlib.import_module("readers")
three_letters = importlib.import_module("three_letters")

pytestmark = [
    pytest.mark.canonical,
    pytest.mark.skipif(not os.environ.get("LESSONS_DATA"), reason="LESSONS_DATA is not set"),
]
KAIMING = (5 / 3) / 30**0.5
COUNTING = 2.0752  # Witten-Bell with three letters of memory, held by test_canonical_counting.py


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    setup()


@pytest.fixture(scope="module")
def names():
    return split(load_names("makemore"), distinct=False)


@pytest.fixture(scope="module")
def pairs(names):
    return examples(names.train, 3, LETTERS)


def first_batch(pairs, scale_W1=1.0, scale_b1=1.0, scale_W2=1.0, scale_b2=1.0):
    """The lecture's draws, in its order, and its first batch of 32: (activations, loss)."""
    g = torch.Generator().manual_seed(2147483647)
    C = torch.randn((27, 10), generator=g)
    W1, b1 = torch.randn((30, 200), generator=g), torch.randn(200, generator=g)
    W2, b2 = torch.randn((200, 27), generator=g), torch.randn(27, generator=g)
    rows = torch.randint(0, len(pairs[0]), (32,), generator=g)
    h = (C[pairs[0][rows]].view(32, -1) @ (W1 * scale_W1) + b1 * scale_b1).tanh()
    logits = h @ (W2 * scale_W2) + b2 * scale_b2
    return h, F.cross_entropy(logits, pairs[1][rows]).item()


def test_the_split_is_the_lectures(names):
    sizes = [len(examples(part, 3, LETTERS)[1]) for part in names]
    assert sizes == [182_625, 22_655, 22_866]


def test_13_percent_of_the_lectures_dev_names_stand_in_train_too(names):
    train = set(names.train)
    assert (sum(name in train for name in names.dev), len(names.dev)) == (424, 3203)


@pytest.mark.parametrize(
    ("scales", "published", "saturated"),
    [
        ((1, 1, 1, 1), 27.8817, 0.6095),
        ((1, 1, 0.01, 0), 3.3221, 0.6095),
        ((0.2, 0.01, 0.01, 0), 3.3135, 0.0098),
        ((KAIMING, 0.01, 0.01, 0), 3.3179, 0.0814),
        ((0, 0, 0, 0), 3.2958, 0.0),
    ],
)
def test_the_first_loss_and_the_saturated_share_are_the_lectures(pairs, scales, published, saturated):
    h, loss = first_batch(pairs, *scales)
    assert loss == pytest.approx(published, abs=1e-4)
    assert (h.abs() > 0.99).float().mean().item() == pytest.approx(saturated, abs=2e-4)


def test_no_unit_is_dead_for_the_lectures_first_batch(pairs):
    h, _ = first_batch(pairs)
    assert not (h.abs() > 0.99).all(0).any()


@pytest.mark.parametrize(
    ("start", "parameters", "at_most"),
    [("scaled by fan-in", 11_897, 2.105), ("with BatchNorm", 12_097, 2.11)],
)
def test_the_lectures_network_reaches_its_loss(names, start, parameters, at_most):
    model = starts.trained(start, names.train, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert split_loss(model, *examples(names.dev, 3, LETTERS)) <= at_most


def test_with_three_letters_and_size_enough_a_network_comes_below_the_table_that_leans(names):
    model = three_letters.trained(three_letters.CHOSEN, names.train, seed=1)
    assert split_loss(model, *examples(names.dev, 3, LETTERS)) < COUNTING


def test_the_tree_reaches_the_lectures_loss(names):
    reader = readers.READERS["tree, scaled up"]
    model = readers.trained(reader, names.train, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 76_579
    assert readers.loss_on(model, reader, names.dev) <= 1.993
