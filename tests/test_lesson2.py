"""What lesson 2 builds in the open equals what the library holds."""

import math
from pathlib import Path

import pytest
import solutions
import torch

from lessons_lib import ngrams
from lessons_lib.ladder import LETTERS

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "02_bigram_counts.ipynb"
NAMES = ["ada", "bakti", "zoe", "marielle", "a", "aaa"]


@pytest.fixture(scope="module")
def lesson():
    """The lesson's functions, as its cells define them: imports and definitions, and nothing that runs."""
    return solutions.definitions(NOTEBOOK)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_counting_is_counting(lesson, n):
    assert torch.equal(lesson["count"](NAMES, n), ngrams.count(NAMES, n, LETTERS))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_smoothing_is_smoothing(lesson, n):
    counts = ngrams.count(NAMES, n, LETTERS)
    theirs = ngrams.add_k(counts, 0.3)
    assert torch.allclose(lesson["add_k"](counts.double(), 0.3), theirs, rtol=1e-12)
    loss = ngrams.loss(theirs, ["bea", "ada"], LETTERS)
    assert lesson["add_k_loss"](counts, ["bea", "ada"], n, 0.3) == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_leaning_is_leaning(lesson, n):
    ours = lesson["witten_bell"]([ngrams.count(NAMES, m, LETTERS) for m in range(1, n + 1)])
    theirs = ngrams.witten_bell(ngrams.count(NAMES, n, LETTERS))
    assert torch.allclose(ours, theirs, rtol=1e-12)
    assert lesson["table_loss"](ours, ["bea"], n) == pytest.approx(
        ngrams.loss(theirs, ["bea"], LETTERS), rel=1e-12
    )


@pytest.mark.parametrize("n", [1, 2, 3])
def test_the_floor_is_the_floor(lesson, n):
    ours = lesson["floor"](ngrams.count(NAMES, n, LETTERS))
    assert ours == pytest.approx(ngrams.floor(NAMES, n - 1, LETTERS), rel=1e-9)


@pytest.fixture(scope="module")
def slider():
    """The cells that the lesson's slider needs, run: what it computes, and its panel."""
    cells = [cell.source for cell in solutions.read(NOTEBOOK).cells if cell.cell_type == "code"]
    space = {"__name__": "notebook"}
    exec(solutions.context(tuple(cells), "smoothed, strengths, smoothing_panel"), space)
    return space


def test_the_slider_computes_at_every_strength(slider):
    points = [slider["smoothed"]({"k": k}) for k in slider["strengths"]]
    assert points[0]["dev"] == math.inf
    for point in points:
        assert torch.allclose(point["table"].sum(1), torch.ones(27, dtype=torch.float64))
    train = [point["train"] for point in points]
    assert train == sorted(train)
    assert train[-1] == pytest.approx(math.log(27), abs=0.02)


def test_the_slider_draws_what_a_fresh_one_draws(slider):
    points = [slider["smoothed"]({"k": k}) for k in slider["strengths"]]
    _, used = slider["smoothing_panel"]()
    for point in points + points[::-1]:
        picture = used.update(point)
    _, fresh = slider["smoothing_panel"]()
    assert picture == fresh.update(points[0])
    assert picture != used.update(points[5])
