"""The three suspects of lesson 6: who is wrong, where first, and how little of it a loss tells."""

import itertools

import pytest
import torch

from lessons_lib import by_hand, suspects
from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.microscope_steps import STEPS
from lessons_lib.suspects import suspect_A, suspect_B, suspect_C, train
from lessons_lib.training import setup

SUSPECTS = {"A": suspect_A, "B": suspect_B, "C": suspect_C}
NAMES = [step.name for step in STEPS]


@pytest.fixture(scope="module", autouse=True)
def as_in_a_lesson():
    setup()


@pytest.fixture(scope="module")
def data():
    names = split(load_names())
    return examples(names.train, 3, LETTERS), examples(names.dev, 3, LETTERS)


def wrong_steps(suspect, n, hidden, seed):
    """The names of the gradients in which a suspect differs from the long way, in the order of the steps."""
    generator = torch.Generator().manual_seed(seed)
    X, Y = (torch.randint(27, shape, generator=generator) for shape in ((n, 3), (n,)))
    parameters = by_hand.initial(hidden, generator)
    atoms = by_hand.forward(parameters, X, Y)
    truth, found = by_hand.backward(parameters, X, Y, atoms), suspect(parameters, X, Y, atoms)
    assert list(found) == NAMES
    assert all(found[name].shape == truth[name].shape for name in NAMES)
    units = {name: truth["dpre" if name == "db1" else name].norm() for name in NAMES}
    return [name for name in NAMES if (found[name] - truth[name]).norm() > 1e-9 * units[name]]


@pytest.mark.parametrize(("n", "hidden", "seed"), [(32, 64, 0), (5, 7, 1), (27, 27, 2), (64, 200, 3)])
def test_two_are_wrong_each_from_one_line_on(n, hidden, seed):
    wrong = {who: wrong_steps(suspect, n, hidden, seed) for who, suspect in SUSPECTS.items()}
    assert wrong["B"] == []
    behind_tanh = NAMES[NAMES.index("dact") :]
    assert wrong["A"] == [name for name in behind_tanh if name != "db1"]  # what comes is centred all the same
    assert wrong["C"] == NAMES[NAMES.index("dpre") :]


def test_one_is_wrong_by_the_slope_of_tanh_and_one_by_the_share_of_the_mean():
    generator = torch.Generator().manual_seed(0)
    X, Y = (torch.randint(27, shape, generator=generator) for shape in ((32, 3), (32,)))
    parameters = by_hand.initial(64, generator)
    atoms = by_hand.forward(parameters, X, Y)
    a, c = suspect_A(parameters, X, Y, atoms), suspect_C(parameters, X, Y, atoms)
    assert torch.equal(a["dact"], a["dh"] * (1 - atoms["h"]))
    assert torch.equal(c["dpre"], c["doff"])


def test_they_leave_alone_what_they_are_handed():
    generator = torch.Generator().manual_seed(0)
    X, Y = (torch.randint(27, shape, generator=generator) for shape in ((9, 3), (9,)))
    parameters = by_hand.initial(6, generator)
    atoms = by_hand.forward(parameters, X, Y)
    everything = [*parameters.values(), *atoms.values(), X, Y]
    before = [tensor.clone() for tensor in everything]
    for suspect in SUSPECTS.values():
        suspect(parameters, X, Y, atoms)
    assert all(torch.equal(one, other) for one, other in zip(everything, before, strict=True))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_their_losses_lie_closer_together_than_the_batches_of_one(seed, data):
    losses = {who: torch.tensor(train(suspect, *data[0], seed=seed)) for who, suspect in SUSPECTS.items()}
    smooth = {who: loss.view(-1, 20).mean(1) for who, loss in losses.items()}
    apart = max((one - other).abs().max() for one, other in itertools.combinations(smooth.values(), 2))
    batches = losses["B"][-100:].std()
    assert apart < 0.04 < 0.1 < batches
    assert losses["B"][0] - losses["B"][-100:].mean() > 0.5  # and all of them learn
    # The right one is not the lowest, so that who trusts the loss convicts the innocent.
    assert losses["A"][-100:].mean() < losses["B"][-100:].mean() - 0.01


def test_the_right_one_trains_as_the_long_way_does(data):
    ours, theirs = (train(one, *data[0], steps=100) for one in (by_hand.backward, suspect_B))
    assert theirs == pytest.approx(ours, abs=1e-9)


def test_names_and_docstrings_give_nothing_away():
    for suspect in SUSPECTS.values():
        words = f"{suspect.__name__} {suspect.__doc__}".lower()
        assert not any(word in words for word in ("wrong", "right", "mistake", "tanh", "mean", "innocent"))
    assert suspects.train.__defaults__[0] == 300
