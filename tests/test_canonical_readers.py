"""The tree of lesson 7 on the lectures' own names and split. Skipped where LESSONS_DATA does not name their folder."""

import importlib
import os
import sys
from pathlib import Path

import pytest

from lessons_lib.data import load_names, split
from lessons_lib.training import setup

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

readers = importlib.import_module("readers")

pytestmark = [
    pytest.mark.canonical,
    pytest.mark.skipif(not os.environ.get("LESSONS_DATA"), reason="LESSONS_DATA is not set"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    setup()


@pytest.fixture(scope="module")
def names():
    return split(load_names("makemore"), distinct=False)


def test_the_tree_reaches_the_lectures_loss(names):
    reader = readers.READERS["tree, scaled up"]
    model = readers.trained(reader, names.train, seed=1)
    assert sum(parameter.numel() for parameter in model.parameters()) == 76_579
    assert readers.loss_on(model, reader, names.dev) <= 1.993
