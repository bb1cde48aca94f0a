"""What lesson 3 builds in the open is what PyTorch and the library have, and its slider tells the truth."""

import math
from pathlib import Path

import pytest
import solutions
import torch
import torch.nn.functional as F

from lessons_lib import ngrams
from lessons_lib.exercises import lesson3
from lessons_lib.ladder import LETTERS

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "03_bigram_neural_net.ipynb"
NAMES = ["ada", "bakti", "zoe", "marielle", "a", "aaa", "anna", "mara", "nata"] * 3


@pytest.fixture(scope="module")
def lesson():
    """The lesson's functions, as its cells define them, and its two lists of settings; nothing that trains."""
    return solutions.definitions(NOTEBOOK, constants=("step_marks", "rates"))


@pytest.fixture
def counts():
    return ngrams.count(NAMES, 2, LETTERS)


def random_table(seed=0):
    return torch.randn(27, 27, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_loss_by_pairs_is_the_loss_by_examples_with_the_same_slopes(lesson, counts):
    xs, ys = ngrams.windows(NAMES, 2, LETTERS).unbind(1)
    by_pairs, by_examples = random_table().requires_grad_(), random_table().requires_grad_()
    ours, theirs = lesson["surprise"](by_pairs, counts), F.cross_entropy(by_examples[xs], ys)
    ours.backward()
    theirs.backward()
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    assert torch.allclose(by_pairs.grad, by_examples.grad, rtol=0, atol=1e-12)


def test_the_loss_of_the_counted_table_is_the_floor(lesson, counts):
    log_counts = counts.double().clamp(min=1e-30).log()
    assert lesson["surprise"](log_counts, counts).item() == pytest.approx(
        ngrams.floor(NAMES, 1, LETTERS), rel=1e-9
    )


def test_the_loss_of_triples_is_the_librarys(lesson):
    triples = ngrams.count(NAMES, 3, LETTERS)
    table = ngrams.add_k(triples, 0.3)
    assert lesson["surprise"](table.log(), triples).item() == pytest.approx(
        ngrams.loss(table, NAMES, LETTERS), rel=1e-12
    )


def test_learning_is_pytorchs_own_gradient_descent(lesson, counts):
    learned, losses = lesson["learn"](random_table(), counts, 3.0, 20, strength=0.1)
    W = random_table().requires_grad_()
    optimizer = torch.optim.SGD([W], lr=3.0)
    for _ in range(20):
        optimizer.zero_grad()
        loss = lesson["surprise"](W, counts) + 0.1 * (W**2).mean()
        loss.backward()
        optimizer.step()
    assert torch.allclose(learned, W.detach(), rtol=0, atol=1e-10)
    assert len(losses) == 21
    assert losses[19] == pytest.approx(loss.item(), rel=1e-12)


def test_descending_is_the_same_without_and_with_a_pull_of_0(lesson, counts):
    plain, costs = lesson["descend"](lambda W: lesson["surprise"](W, counts), random_table(), 3.0, 20)
    pulled, losses = lesson["learn"](random_table(), counts, 3.0, 20)
    assert torch.equal(plain, pulled)
    assert costs == losses
    assert costs == sorted(costs, reverse=True)


def test_learning_leaves_its_starting_point_alone(lesson, counts):
    start = random_table()
    lesson["learn"](start, counts, 3.0, 5)
    assert torch.equal(start, random_table())
    assert not start.requires_grad


def test_the_weights_become_the_logarithms_of_the_counts_up_to_a_constant_a_row(lesson, counts):
    W, _ = lesson["learn"](random_table(), counts, 20.0, 4000)
    often = counts >= 3
    difference = W - counts.double().log()
    for row, mask in zip(difference, often, strict=True):
        if mask.sum() > 1:
            assert row[mask].max() - row[mask].min() < 0.02
    assert torch.allclose(W.mean(1), random_table().mean(1), rtol=0, atol=1e-10)


def test_a_row_that_is_never_asked_keeps_its_weights(lesson, counts):
    W, _ = lesson["learn"](random_table(), counts, 20.0, 50)
    silent = counts.sum(1) == 0
    assert silent.any()
    assert torch.equal(W[silent], random_table()[silent])


def test_the_matching_k_is_the_one_that_was_added(lesson, counts):
    lesson["N"] = counts
    for k in (0.5, 20.0, 3000.0):
        table = ngrams.add_k(counts, k)
        assert lesson["matching_k"](ngrams.loss(table, NAMES, LETTERS)) == pytest.approx(k, rel=1e-6)


@pytest.fixture(scope="module")
def walks(lesson):
    """What the slider's cells need, on the small list of names: every walk that it can show."""
    lesson["N"] = ngrams.count(NAMES, 2, LETTERS)
    lesson["dice"] = random_table(1).float()
    lesson["floor"] = ngrams.floor(NAMES, 1, LETTERS)
    lesson["letters"] = LETTERS.characters
    lesson["log_P"] = ngrams.add_k(lesson["N"], 0.1).log()
    lesson["walks"] = {rate: lesson["walk_from_dice"](rate) for rate in lesson["rates"]}
    return lesson


def everywhere(lesson):
    return [{"step": step, "rate": rate} for rate in lesson["rates"] for step in lesson["step_marks"]]


def test_the_slider_shows_what_a_walk_in_one_piece_reaches(walks):
    for values in everywhere(walks):
        if values["rate"] > 10 or values["step"] > 200:  # beyond, rounding is amplified: two walks may part
            continue
        W, losses = walks["learn"](walks["dice"], walks["N"], values["rate"], values["step"])
        shown = walks["visit"](values)
        assert torch.allclose(shown["logs"], W.log_softmax(1), rtol=0, atol=1e-8)
        assert shown["loss"] == pytest.approx(losses[-1], rel=1e-9)


def test_the_slider_computes_the_same_twice_and_finite_numbers_everywhere(walks):
    for values in everywhere(walks):
        once, again = walks["visit"](values), walks["visit"](values)
        assert torch.equal(once["logs"], again["logs"])
        assert once["loss"] == again["loss"] == once["losses"][values["step"]]
        assert math.isfinite(once["loss"])
        assert torch.allclose(once["logs"].logsumexp(1), torch.zeros(27, dtype=torch.float64), atol=1e-9)
        assert len(once["losses"]) == 1001


def test_small_rates_only_go_down_and_never_below_the_floor(walks):
    for rate in (0.1, 1):
        losses = walks["walks"][rate][0]
        assert losses == sorted(losses, reverse=True)
        assert losses[-1] > walks["floor"]


def test_the_slider_draws_what_a_fresh_one_draws(walks):
    points = [walks["visit"](values) for values in everywhere(walks)[::5]]
    _, used = walks["walking_panel"]()
    for point in points + points[::-1]:
        picture = used.update(point)
    _, fresh = walks["walking_panel"]()
    assert picture == fresh.update(points[0])
    assert picture != used.update(points[3])


def test_counts_smoothed_on_dev_pass_as_learned_triples_and_are_recognised():
    def learn_triples(train, dev):
        tables = [ngrams.add_k(train, k).log() for k in (0.05, 0.1, 0.2, 0.3, 0.5)]
        return min(tables, key=lambda table: lesson3.cost_of(table, dev))

    assert "whoever hands in counts" in lesson3.learn_triples(learn_triples)


def test_learned_triples_are_not_taken_for_counts():
    logits = torch.randn(27, 27, 27, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    train = ngrams.count(NAMES, 3, LETTERS)
    assert not lesson3.counted(logits, train)
    assert lesson3.counted(ngrams.add_k(train, 0.7).log() + 3, train)
