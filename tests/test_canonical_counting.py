"""Counting gives the published numbers on the lectures' own names. Skipped where LESSONS_DATA does not name their folder."""

import math
import os

import numpy as np
import pytest

from lessons_lib.data import load_names, split
from lessons_lib.ladder import LETTERS, uniform
from lessons_lib.ladder import evaluate as ladder_loss
from lessons_lib.ngrams import add_k, count, floor, loss, windows, witten_bell

pytestmark = [
    pytest.mark.canonical,
    pytest.mark.skipif(not os.environ.get("LESSONS_DATA"), reason="LESSONS_DATA is not set"),
]
STRENGTHS = (0.01, 0.1, 0.3, 1)


@pytest.fixture(scope="module")
def names():
    return load_names("makemore")


@pytest.fixture(scope="module")
def parts(names):
    """The lectures' split, with the 13% of dev names that also stand in train."""
    return split(names, distinct=False)


@pytest.mark.parametrize(("k", "published"), [(0, 2.4540145), (1, 2.4545768)])
def test_bigrams_of_all_names_cost_what_the_lectures_tables_do(names, k, published):
    probabilities = add_k(count(names, 2, LETTERS), k)
    assert loss(probabilities, names, LETTERS) == pytest.approx(published, abs=1e-6)


def test_single_letters_and_blind_guessing(names):
    assert loss(add_k(count(names, 1, LETTERS), 0), names, LETTERS) == pytest.approx(2.822726, abs=1e-6)
    assert ladder_loss(uniform, names) == pytest.approx(3.295837, abs=1e-6)


def test_the_lecture_prints_a_sum_that_single_precision_has_spoiled(names):
    # The lecture normalises counts + 1 in float32 and adds 228,146 logarithms to one float32, which by then has little room for
    # their digits: 50 nats of 560,000 get lost on the way. The same logarithms added in float64 give the true mean.
    probabilities = (count(names, 2, LETTERS) + 1).float()
    probabilities /= probabilities.sum(1, keepdim=True)
    logarithms = probabilities[windows(names, 2, LETTERS).unbind(1)].log().numpy()
    log_likelihood = np.float32(0)
    for logarithm in logarithms:
        log_likelihood += logarithm
    assert log_likelihood.dtype == np.float32
    assert -log_likelihood / len(logarithms) == pytest.approx(2.4543562, abs=1e-6)
    assert -log_likelihood == pytest.approx(559951.5625, abs=0.1)
    assert -logarithms.astype(np.float64).mean() == pytest.approx(2.4545768, abs=1e-6)


def test_627_bigrams_occur_and_102_never_do(names):
    counts = count(names, 2, LETTERS)
    assert int((counts > 0).sum()) == 627
    assert int((counts == 0).sum()) == 102
    assert counts.sum() == 228_146


def test_the_commonest_bigrams_are_the_lectures(names):
    counts = count(names, 2, LETTERS)
    for pair, times in {"n.": 6763, "a.": 6640, "an": 5438, ".a": 4410}.items():
        assert counts[tuple(LETTERS.encode(pair))] == times


def test_row_sums_and_column_sums_are_the_same_numbers(names):
    counts = count(names, 2, LETTERS)
    assert counts.sum(0).equal(counts.sum(1))


@pytest.mark.parametrize(("n", "published"), [(3, 2.2225), (4, 2.1018), (5, 2.1522)])
def test_dev_loss_with_the_best_of_four_additions(parts, n, published):
    counts = count(parts.train, n, LETTERS)
    losses = {k: loss(add_k(counts, k), parts.dev, LETTERS) for k in STRENGTHS}
    assert min(losses.values()) == pytest.approx(published, abs=1e-4)
    assert min(losses, key=losses.get) == 0.1


@pytest.mark.parametrize(("n", "published"), [(4, 2.0752), (5, 2.0418)])
def test_dev_loss_of_witten_bell(parts, n, published):
    probabilities = witten_bell(count(parts.train, n, LETTERS))
    assert loss(probabilities, parts.dev, LETTERS) == pytest.approx(published, abs=1e-4)


@pytest.mark.parametrize(
    ("k", "published"), [(0, 2.8226), (1, 2.4541), (2, 2.1827), (3, 1.8691), (4, 1.5808), (8, 1.4123)]
)
def test_floors_of_the_training_names(parts, k, published):
    assert floor(parts.train, k, LETTERS) == pytest.approx(published, abs=1e-4)


def test_bigrams_learned_from_train_cost_a_little_less_on_dev(parts):
    probabilities = add_k(count(parts.train, 2, LETTERS), 0.01)
    losses = [loss(probabilities, names, LETTERS) for names in parts]
    assert losses == pytest.approx([2.4541, 2.4535, 2.4583], abs=1e-4)
    raw = add_k(count(parts.train, 2, LETTERS), 0)
    assert loss(raw, parts.dev, LETTERS) == math.inf


def test_the_lectures_impossible_name_has_one_impossible_pair(names):
    probabilities = add_k(count(names, 2, LETTERS), 0)
    assert math.isfinite(loss(probabilities, ["andrej"], LETTERS))
    assert probabilities[tuple(LETTERS.encode("jq"))] == 0
    assert probabilities[tuple(LETTERS.encode("q."))] > 0
    assert loss(probabilities, ["andrejq"], LETTERS) == math.inf
