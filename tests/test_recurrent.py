"""The recurrent cells are torch's, gradients included, and the reader made of them reads every name as if it were alone."""

import pytest
import torch
from torch import nn

from lessons_lib.data import load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.reading import NOTHING, letter_loss, whole
from lessons_lib.recurrent import GRUCell, Recurrent, RNNCell

CELLS = [(RNNCell, nn.RNNCell, nn.RNN), (GRUCell, nn.GRUCell, nn.GRU)]
NAMES = ["deeann", "bo", "a", "maximilianus", "zoe", "b", "marielle"]


def handed_over(ours, theirs):
    """The weights of ours in torch's cell or layer."""
    ending = "_l0" if hasattr(theirs, "weight_ih_l0") else ""
    with torch.no_grad():
        for part, letters in ((ours.read, "ih"), (ours.keep, "hh")):
            getattr(theirs, f"weight_{letters}{ending}").copy_(part.weight)
            getattr(theirs, f"bias_{letters}{ending}").copy_(part.bias)
    return theirs


def tolerance(dtype):
    return {"rtol": 0, "atol": 1e-6 if dtype == torch.float32 else 1e-12}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("cell", "torchs", "_"), CELLS)
@pytest.mark.parametrize("size", [(1, 1, 1), (3, 5, 4), (8, 2, 7)])
def test_a_cell_is_torchs_and_so_are_its_gradients(cell, torchs, _, dtype, size):
    examples, inputs, hidden = size
    torch.manual_seed(0)
    ours = cell(inputs, hidden).to(dtype)
    theirs = handed_over(ours, torchs(inputs, hidden, dtype=dtype))
    x, h = torch.randn(examples, inputs, dtype=dtype), torch.randn(examples, hidden, dtype=dtype)
    gradient = torch.randn(examples, hidden, dtype=dtype)
    given = [[tensor.clone().requires_grad_() for tensor in (x, h)] for _ in range(2)]
    got, wanted = ours(*given[0]), theirs(*given[1])
    torch.testing.assert_close(got, wanted, **tolerance(dtype))
    got.backward(gradient)
    wanted.backward(gradient)
    pairs = [(given[0][0].grad, given[1][0].grad), (given[0][1].grad, given[1][1].grad)]
    for part, letters in ((ours.read, "ih"), (ours.keep, "hh")):
        pairs.append((part.weight.grad, getattr(theirs, f"weight_{letters}").grad))
        pairs.append((part.bias.grad, getattr(theirs, f"bias_{letters}").grad))
    for mine, other in pairs:
        assert mine.abs().sum() > 0
        torch.testing.assert_close(mine, other, **tolerance(dtype))


def test_where_update_is_one_the_state_stays_and_its_gradient_too():
    torch.manual_seed(0)
    cell = GRUCell(2, 3)
    with torch.no_grad():
        cell.read.bias[3:6] = 100
    h = torch.randn(4, 3, requires_grad=True)
    got = cell(torch.randn(4, 2), h)
    gradient = torch.randn(4, 3)
    got.backward(gradient)
    assert torch.equal(got, h)
    torch.testing.assert_close(h.grad, gradient)


def reader(cell, dtype=torch.float64, dropout=0.0):
    torch.manual_seed(1)
    return Recurrent(cell(4, 6), LETTERS.size, 4, dropout).to(dtype)


def alone(model, name):
    """What the model says after each letter of one name, by its parts."""
    h = torch.zeros(1, 6, dtype=torch.float64)
    said = []
    for letter in LETTERS.encode("." + name):
        h = model.cell(model.embedding(torch.tensor([letter])), h)
        said.append(model.out(h))
    return torch.cat(said)


@pytest.mark.parametrize("cell", [RNNCell, GRUCell])
@pytest.mark.parametrize(
    "names", [NAMES, NAMES[::-1], ["ada"], ["a"], [""], ["", "a", ""], [*"abc"], ["ab", "cd"]]
)
def test_together_names_are_read_as_each_is_alone_and_answered_in_reading_order(cell, names):
    model = reader(cell)
    got = model(whole(names, LETTERS)[0])
    assert got.shape == (sum(len(name) + 1 for name in names), 27)
    torch.testing.assert_close(got, torch.cat([alone(model, name) for name in names]))


@pytest.mark.parametrize("cell", [RNNCell, GRUCell])
def test_gradients_are_those_of_names_read_alone(cell):
    X, Y = whole(NAMES, LETTERS)
    model, other = reader(cell), reader(cell)
    letter_loss(model(X), Y).backward()
    letter_loss(torch.cat([alone(other, name) for name in NAMES]), Y).backward()
    for (name, mine), theirs in zip(model.named_parameters(), other.parameters(), strict=True):
        assert mine.grad.abs().sum() > 0, name
        torch.testing.assert_close(mine.grad, theirs.grad)


@pytest.mark.parametrize(("cell", "_", "layer"), CELLS)
def test_it_says_what_torchs_own_layer_says_of_padded_rows(cell, _, layer):
    model = reader(cell)
    X = whole(split(load_names()).dev[:200], LETTERS)[0]
    theirs = handed_over(model.cell, layer(4, 6, batch_first=True, dtype=torch.float64))
    states, _last = theirs(model.embedding(X.clamp(min=0)))
    torch.testing.assert_close(model(X), model.out(states)[X >= 0])


def test_wider_rows_change_nothing():
    model = reader(GRUCell)
    X = whole(NAMES, LETTERS)[0]
    wider = torch.cat([X, torch.full((len(X), 3), NOTHING)], dim=1)
    torch.testing.assert_close(model(wider), model(X))


@pytest.mark.parametrize("cell", [RNNCell, GRUCell])
def test_a_later_letter_moves_no_earlier_answer_and_every_later_one(cell):
    model = reader(cell)
    X = whole(["marielle"], LETTERS)[0]
    changed = X.clone()
    changed[0, 4] = 26
    moved = (model(X) != model(changed)).any(1)
    assert moved.tolist() == [False] * 4 + [True] * 5


def test_dropout_is_quiet_in_eval_mode_and_loud_in_training():
    model, X = reader(GRUCell, dropout=0.5), whole(NAMES, LETTERS)[0]
    torch.manual_seed(0)
    assert not torch.equal(model(X), model(X))
    model.eval()
    assert torch.equal(model(X), model(X))
