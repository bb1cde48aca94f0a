"""What lesson 6 builds in the open equals the library's, needs no autograd, and says of itself what is so."""

import math
from pathlib import Path

import pytest
import solutions
import torch
import torch.nn.functional as F

from lessons_lib import by_hand, suspects
from lessons_lib.ladder import LETTERS

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "06_backprop_ninja.ipynb"
SIZES = [(32, 64), (5, 7), (27, 27), (2, 3), (96, 200)]


@pytest.fixture(scope="module")
def lesson():
    """The lesson's functions, as its cells define them: imports and definitions, EPS, and nothing that runs."""
    return solutions.definitions(NOTEBOOK, constants=("EPS",))


def problem(n, hidden, dtype=torch.float64):
    """Parameters and a batch in which letters repeat."""
    generator = torch.Generator().manual_seed(n * 1000 + hidden)
    p = by_hand.initial(hidden, generator, dtype)
    X = torch.randint(9, (n, 3), generator=generator)
    return p, X, torch.randint(27, (n,), generator=generator)


def near(ours, truth, tolerance=1e-9, scale=None):
    assert ours.shape == truth.shape
    assert (ours - truth).norm() <= tolerance * (truth.norm() if scale is None else scale)


@pytest.fixture
def no_autograd(monkeypatch):
    """Whoever asks for a gradient, or keeps a tensor for one, fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError("autograd was used")

    for place, name in ((torch.Tensor, "backward"), (torch.autograd, "grad"), (torch.autograd, "backward")):
        monkeypatch.setattr(place, name, refuse)
    with torch.autograd.graph.saved_tensors_hooks(refuse, refuse):
        yield


@pytest.mark.parametrize(("n", "hidden"), SIZES)
def test_its_atoms_are_the_librarys(lesson, n, hidden):
    p, X, Y = problem(n, hidden)
    ours, theirs = lesson["forward"](p, X, Y), by_hand.forward(p, X, Y)
    assert list(ours) == list(theirs) == list(by_hand.ATOMS)
    for name in ours:
        near(ours[name], theirs[name], 1e-12)


@pytest.mark.parametrize(("n", "hidden"), SIZES)
def test_its_way_back_is_the_librarys_and_autograds(lesson, n, hidden):
    p, X, Y = problem(n, hidden)
    a = lesson["forward"](p, X, Y)
    ours, theirs = lesson["backward"](p, X, Y, a), by_hand.backward(p, X, Y, a)
    truth = lesson["by_autograd"](p, X, Y)
    assert set(ours) == set(theirs) == set(truth) - {"dloss"}
    summed = {"dtop": ours["dsafe"].norm(), "db1": ours["dpre"].norm()}  # the truth is 0
    for name in ours:
        # With two examples norm is +1 and -1 whatever comes in, and what is sent on is the little that EPS lets through.
        scale = ours["dnorm"].norm() if n == 2 else summed.get(name)
        near(ours[name], theirs[name], 1e-9, scale)
        near(ours[name], truth[name], 1e-9, scale)


@pytest.mark.parametrize(("n", "hidden"), SIZES)
def test_its_short_way_is_the_long_one_and_the_librarys(lesson, n, hidden):
    p, X, Y = problem(n, hidden)
    a = lesson["forward"](p, X, Y)
    long = lesson["backward"](p, X, Y, a)
    loss, short, mean, var = lesson["gradients"](p, X, Y)
    their_loss, theirs, their_mean, their_var = by_hand.loss_and_gradients(p, X, Y)
    assert loss == pytest.approx(a["loss"].item(), rel=1e-12)
    assert loss == pytest.approx(their_loss, rel=1e-12)
    near(mean, their_mean[0], 1e-12)
    near(var, their_var[0], 1e-12)
    assert list(short)
    assert set(short) == set(p)
    for name in p:
        scale = long["dnorm"].norm() if n == 2 else {"b1": long["dpre"].norm()}.get(name)
        near(short[name], long["d" + name], 1e-10, scale)
        near(short[name], theirs[name], 1e-10, scale)


def test_its_start_is_the_librarys(lesson):
    ours = lesson["initial"](64, torch.Generator().manual_seed(6))
    theirs = by_hand.initial(64, torch.Generator().manual_seed(6))
    for (name, mine), (other, same) in zip(ours.items(), theirs.items(), strict=True):
        assert name == other
        assert mine.abs().min() > 0
        near(mine, same, 1e-12)


def test_its_judge_of_gradients_sees_what_allclose_lets_pass(lesson):
    agrees = lesson["agrees"]
    truth = torch.full((64,), 2e-9, dtype=torch.float64)
    zeros = torch.zeros_like(truth)
    assert torch.allclose(zeros, truth)
    assert not agrees(zeros, truth)
    assert agrees(truth, truth)
    assert not agrees(truth * 1.001, truth)
    assert not agrees(truth[None], truth)  # nothing is broadcast
    assert not agrees(truth * math.nan, truth)
    assert agrees(zeros, truth, scale=100.0)


def trains_by_hand(lesson, dtype=torch.float64, steps=30):
    generator = torch.Generator().manual_seed(0)
    lesson["X"] = torch.randint(27, (2048, 3), generator=generator)
    lesson["Y"] = lesson["X"][:, 2]  # a task that can be learned: the last letter once more
    return lesson["learn"](lesson["gradients"], epochs=steps // 4, dtype=dtype)


def test_training_builds_no_graph(lesson, no_autograd):
    p, mean, var, losses = trains_by_hand(lesson)
    logits = lesson["in_use"](p, mean, var)(lesson["X"][:5])
    for tensor in (*p.values(), mean, var, logits):
        assert not tensor.requires_grad
        assert tensor.grad_fn is None
    assert losses[-1] < losses[0] - 0.3  # and it learns


def test_autograd_is_caught_where_it_is_used(lesson, no_autograd):
    """The net of the test above: the lesson's own comparison with autograd falls into it."""
    trains_by_hand(lesson, steps=4)  # gives the lesson its X and Y
    with pytest.raises(AssertionError, match="autograd was used"):
        lesson["learn"](lesson["with_autograd"], epochs=1)


def test_autograd_leads_to_the_same_losses(lesson):
    p, _, _, ours = trains_by_hand(lesson)
    q, _, _, theirs = lesson["learn"](lesson["with_autograd"], epochs=len(ours) // 4, dtype=torch.float64)
    assert ours == pytest.approx(theirs, abs=1e-9)
    for name in set(p) - {"b1"}:  # b1 follows the rounding, which AdamW enlarges
        near(p[name], q[name], 1e-6)


def test_its_adamw_is_torchs(lesson):
    generator = torch.Generator().manual_seed(3)
    ours = torch.randn(4, 5, generator=generator, dtype=torch.float64)
    theirs = ours.clone().requires_grad_()
    optimizer, state = torch.optim.AdamW([theirs], lr=0.01, weight_decay=0), {}
    for _ in range(20):
        g = torch.randn(4, 5, generator=generator, dtype=torch.float64)
        theirs.grad = g.clone()
        optimizer.step()
        lesson["adamw"](ours, g, state, 0.01)
    near(ours, theirs.detach(), 1e-12)


def test_the_trained_network_is_the_librarys(lesson):
    """The same numbers in the lesson's network and in ByHand, for one context and for many."""
    p, mean, var, _ = trains_by_hand(lesson)
    ours, theirs = lesson["in_use"](p, mean, var), by_hand.ByHand(p, mean[None], var[None])
    near(ours(lesson["X"][:50]), theirs(lesson["X"][:50]), 1e-12)
    near(ours(lesson["X"][:1])[0], ours(lesson["X"][:50])[0], 1e-12)  # nobody else's letters matter


def test_its_vote_sides_with_both(lesson):
    p, X, Y = problem(32, 64)
    lesson.update(p=p, batch=X, targets=Y)
    d = lesson["backward"](p, X, Y, lesson["forward"](p, X, Y))
    for name, place in (("C", (1, 0)), ("W1", (4, 2)), ("gain", (5,)), ("W2", (7, 1)), ("b2", (1,))):
        kept = p[name].clone()
        assert lesson["vote"](name, place) == pytest.approx(d["d" + name][place].item(), rel=1e-5, abs=1e-9)
        assert torch.equal(p[name], kept)
    rough = lesson["vote"](
        "W2", (7, 1), dtype=torch.float32
    )  # the loss moves by less than two float32 near 3.4 are apart
    assert abs(rough / d["dW2"][7, 1].item() - 1) > 0.1
    assert 2e-6 * abs(d["dW2"][7, 1].item()) < 2.4e-7


def test_batchnorm_takes_the_line_away(lesson):
    """What is sent on has no mean and no slope against norm, up to EPS; with n for n - 1 it keeps some slope."""
    p, X, Y = problem(32, 64)
    a = lesson["forward"](p, X, Y)
    d = lesson["backward"](p, X, Y, a)
    norm, dact = a["norm"], d["dact"]
    short = lesson["through_batchnorm"](dact, p["gain"], norm, a["inv"], divisor=31)
    near(short, d["dpre"], 1e-12)
    assert short.sum(0).norm() < 1e-12 * short.norm()
    assert (short * norm).sum(0).norm() < 1e-4 * (d["dnorm"] * norm).sum(0).norm()
    wrong = lesson["through_batchnorm"](dact, p["gain"], norm, a["inv"], divisor=32)
    assert (wrong * norm).sum(0).norm() > 1e-2 * (a["inv"] * d["dnorm"] * norm).sum(0).norm()
    assert 1e-4 < (wrong - short).norm() / short.norm() < 0.03


def test_the_bias_of_the_last_layer_compares_what_was_expected_with_what_came(lesson):
    p, X, Y = problem(32, 64)
    a = lesson["forward"](p, X, Y)
    db2 = lesson["backward"](p, X, Y, a)["db2"]
    near(db2, a["probs"].mean(0) - torch.bincount(Y, minlength=27) / 32, 1e-12)


def test_the_forces_of_a_letter_balance_where_its_bias_has_learned(lesson):
    """Pulls minus pushes are minus the gradient of the last bias."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(400, 27, generator=generator, dtype=torch.float64)
    lesson["X"], lesson["Y"] = torch.arange(400), torch.randint(27, (400,), generator=generator)
    up, down = lesson["pulls_and_pushes"](lambda rows: logits[rows])
    bias = torch.zeros(27, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(logits[::4] + bias, lesson["Y"][::4]), bias)
    near(up - down, -gradient, 1e-12)


def test_what_the_lesson_says_of_the_suspects_is_so(lesson):
    """A differs first at dact, C at dpre, where b1 begins to move; B is right; in A b1 still stands still."""
    p, X, Y = problem(32, 64)
    a = by_hand.forward(p, X, Y)
    truth = by_hand.backward(p, X, Y, a)
    summed = {"db1": truth["dpre"].norm()}
    wrong = {}
    for label in "ABC":
        found = getattr(suspects, f"suspect_{label}")(p, X, Y, a)
        error = {
            name: (found[name] - truth[name]).norm() / summed.get(name, truth[name].norm())
            for name in truth
            if name in found
        }
        wrong[label] = [name for name in error if error[name] > 1e-9]
    assert wrong["B"] == []
    assert wrong["A"][0] == "dact"
    assert "db1" not in wrong["A"]
    assert wrong["C"][0] == "dpre"
    assert "db1" in wrong["C"]
    dact = suspects.suspect_A(p, X, Y, a)["dact"]
    assert (dact * truth["dact"] >= 0).all()  # the same sign everywhere
    found = {label: getattr(suspects, f"suspect_{label}")(p, X, Y, a) for label in "AC"}
    for name in ("dgain", "dbias"):  # but not of what is summed from it
        assert (found["A"][name] * truth[name] < 0).any()
    whole = {
        who: torch.cat([d["d" + name].flatten() for name in p]) for who, d in (found | {"T": truth}).items()
    }
    assert 0.8 < F.cosine_similarity(whole["A"], whole["T"], dim=0) < 0.99  # bent, and still downhill
    assert whole["A"].norm() > 1.05 * whole["T"].norm()  # and longer
    stray = found["C"]["dW1"] - truth["dW1"]
    assert stray.abs().max() > 0.1 * truth["dW1"].abs().max()


def test_the_loss_feels_the_stripes_of_c_in_the_weights_and_not_in_the_bias(lesson):
    p, X, Y = problem(32, 64)
    a = by_hand.forward(p, X, Y)
    truth, found = by_hand.backward(p, X, Y, a), suspects.suspect_C(p, X, Y, a)
    change = {}
    for name in ("b1", "W1"):
        moved = p | {name: p[name] - 0.3 * (found["d" + name] - truth["d" + name])}
        change[name] = abs(by_hand.forward(moved, X, Y)["loss"] - a["loss"]).item()
    assert change["b1"] < 1e-12
    assert change["W1"] > 1e-5


def test_the_table_with_plus_equals_loses_repeats(lesson):
    X, demb = torch.tensor([[1, 1, 2]]), torch.ones(1, 3, 2)
    kept = torch.zeros(3, 2)
    kept[X] += demb
    assert kept.tolist() == [[0, 0], [1, 1], [1, 1]]
    assert torch.zeros(3, 2).index_add_(0, X.flatten(), demb.flatten(0, 1)).tolist() == [
        [0, 0],
        [2, 2],
        [1, 1],
    ]


def test_adamw_moves_a_number_that_should_stand_still(lesson):
    """b1 in 32 bits: its gradient is rounding, and AdamW makes steps of it, thousands of times what plain steps would."""
    p, _, _, losses = trains_by_hand(lesson, torch.float32, steps=200)
    _, d, _, _ = lesson["gradients"](p, lesson["X"][:512], lesson["Y"][:512])
    assert d["b1"].norm() < 1e-5 * d["gain"].norm()
    plain = 0.01 * len(losses) * d["b1"].norm()  # at the highest rate throughout, and always the same way
    assert p["b1"].norm() > 1000 * plain  # it began at 0


def test_without_eps_a_number_that_should_stand_still_steps_further(lesson):
    """eps, at ten times the gradient or more, is the denominator for b1, and for the gain it is next to nothing."""
    further = {}
    for name, gradient in (("b1", 3e-10), ("gain", 1e-3)):
        moved = []
        for eps in (1e-8, 1e-30):
            number, state = torch.zeros(1, dtype=torch.float64), {}
            for sign in (1, -1, 1, 1):
                g = torch.full((1,), sign * gradient, dtype=torch.float64)
                lesson["adamw"](number, g, state, 0.01, eps=eps)
            moved.append(number.abs().item())
        further[name] = moved[1] / moved[0]
    assert further["b1"] > 10
    assert further["gain"] < 1.001


def test_the_library_has_the_letters_that_the_lesson_has():
    assert LETTERS.size == by_hand.initial(3, torch.Generator())["C"].shape[0] == 27
