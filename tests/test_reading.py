"""Names read whole are the same letters and answers as in windows, and what is measured on them is the same loss."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.data import Vocabulary, examples, load_names, split
from lessons_lib.ladder import LETTERS, evaluate
from lessons_lib.reading import NOTHING, from_reader, letter_loss, mean_letter_loss, packed, whole
from lessons_lib.recurrent import GRUCell, Recurrent
from lessons_lib.training import split_loss

NAMES = ["deeann", "bo", "a", "", "maximilianus", "zoe"]


class Bigram(nn.Module):
    """A reader that looks at the newest letter alone."""

    def __init__(self, dropout=0.0):
        super().__init__()
        self.table, self.dropout = nn.Embedding(27, 27), nn.Dropout(dropout)

    def forward(self, X):
        return self.dropout(self.table(packed(X)[0]))


def bigram(dropout=0.0):
    torch.manual_seed(0)
    return Bigram(dropout)


def gru():
    torch.manual_seed(0)
    return Recurrent(GRUCell(4, 6), 27, 4, dropout=0.3)


# Rows and tape.


@pytest.mark.parametrize("names", [NAMES, ["a"], [""], split(load_names()).dev[:500]])
def test_rows_hold_the_letters_and_answers_of_the_examples_in_their_order(names):
    X, Y = whole(names, LETTERS)
    contexts, answers = examples(names, 1, LETTERS)
    assert X.shape == Y.shape == (len(names), max(map(len, names)) + 1)
    assert X.dtype == Y.dtype == torch.int64
    assert torch.equal(X[X >= 0], contexts[:, 0])
    assert torch.equal(Y[Y >= 0], answers)
    assert torch.equal(X >= 0, Y >= 0)
    assert (X[X < 0] == NOTHING).all()
    assert (Y[Y < 0] == NOTHING).all()


def test_a_row_can_be_read():
    X, Y = whole(["bo", "ann"], LETTERS)
    assert X.tolist() == [[0, 2, 15, NOTHING], [0, 1, 14, 14]]
    assert Y.tolist() == [[2, 15, 0, NOTHING], [1, 14, 14, 0]]


def test_names_may_come_one_by_one():
    assert torch.equal(whole(iter(NAMES), LETTERS)[0], whole(NAMES, LETTERS)[0])


@pytest.mark.parametrize(
    ("names", "error", "said"),
    [
        ([], ValueError, "no names to read"),
        (["a.b"], ValueError, "'a.b' has the end mark"),
        (["ada", "zoë"], ValueError, "ë"),
        ("ada", TypeError, "one string, 'ada'"),
    ],
)
def test_what_is_no_list_of_names_is_refused(names, error, said):
    with pytest.raises(error, match=said):
        whole(names, LETTERS)


def test_without_an_end_mark_there_are_no_names():
    with pytest.raises(ValueError, match="end mark"):
        whole(["ada"], Vocabulary(["abc"], end=None))
    with pytest.raises(ValueError, match="end mark"):
        from_reader(bigram(), Vocabulary(["abc"], end=None))


def test_the_tape_counts_the_letters_before_each_place_anew_for_every_name():
    letters, place = packed(whole(["bo", "", "ann"], LETTERS)[0])
    assert LETTERS.decode(letters) == ".bo..ann"
    assert place.tolist() == [0, 1, 2, 0, 0, 1, 2, 3]
    assert place.dtype == torch.int64


# Losses.


def test_the_loss_of_a_batch_is_the_mean_over_the_letters_that_are_there():
    X, Y = whole(NAMES, LETTERS)
    model = bigram()
    loss = letter_loss(model(X), Y)
    assert loss.item() == pytest.approx(F.cross_entropy(model(X), examples(NAMES, 1, LETTERS)[1]).item())
    loss.backward()
    unread = [i for i in range(27) if i not in X.unique().tolist()]
    assert (model.table.weight.grad[unread] == 0).all()
    assert (model.table.weight.grad[0] != 0).all()


@pytest.mark.parametrize("batch", [1, 2, 1024])
def test_the_mean_over_a_split_is_that_of_the_same_predictions_in_windows(batch):
    names = split(load_names()).dev[:300] + NAMES
    model = bigram().double()
    X, Y = examples(names, 1, LETTERS)
    windowed = split_loss(nn.Sequential(model.table, nn.Flatten()), X, Y)
    assert mean_letter_loss(model, *whole(names, LETTERS), batch=batch) == pytest.approx(windowed, abs=1e-9)


def test_a_mean_of_means_would_be_something_else():
    X, Y = whole(["a", "maximilianus"], LETTERS)
    model = bigram()
    single = [mean_letter_loss(model, X[i : i + 1], Y[i : i + 1]) for i in range(2)]
    together = mean_letter_loss(model, X, Y, batch=1)
    assert together == pytest.approx((2 * single[0] + 13 * single[1]) / 15)
    assert abs(together - sum(single) / 2) > 0.01


def test_measuring_is_done_in_eval_mode_and_every_modules_own_mode_comes_back():
    model, (X, Y) = bigram(dropout=0.5), whole(NAMES, LETTERS)
    model.train()
    model.table.eval()
    assert mean_letter_loss(model, X, Y) == mean_letter_loss(model, X, Y)
    assert (model.training, model.table.training, model.dropout.training) == (True, False, True)
    assert model.table.weight.grad is None


# A reader on the ladder.


def test_texts_of_any_lengths_are_answered_as_the_whole_name_is_at_that_place():
    model = gru().eval()
    name = "maximilianus"
    with torch.no_grad():
        along = model(whole([name], LETTERS)[0]).double().log_softmax(1)
    texts = [name[:length] for length in range(len(name) + 1)]
    ask = from_reader(model, LETTERS)
    torch.testing.assert_close(ask(texts), along, rtol=0, atol=1e-5)
    order = [7, 0, 12, 3, 3, 1]
    torch.testing.assert_close(ask([texts[i] for i in order]), along[order], rtol=0, atol=1e-5)


def test_its_answers_are_log_probabilities_in_64_bits_without_a_gradient():
    got = from_reader(gru(), LETTERS)(["", "ma", "zz"])
    assert got.shape == (3, 27)
    assert got.dtype == torch.float64
    assert not got.requires_grad
    torch.testing.assert_close(got.exp().sum(1), torch.ones(3, dtype=torch.float64))


def test_on_the_ladder_it_pays_what_it_pays_on_whole_names():
    model = gru()
    ladder = evaluate(from_reader(model, LETTERS), NAMES)
    assert ladder == pytest.approx(mean_letter_loss(model, *whole(NAMES, LETTERS)), abs=1e-5)


def test_asked_about_nothing_it_answers_nothing():
    got = from_reader(gru(), LETTERS)([])
    assert got.shape == (0, 27)
    assert got.dtype == torch.float64


def test_it_answers_in_eval_mode_and_every_modules_own_mode_comes_back():
    model = gru()
    model.embedding.eval()
    ask = from_reader(model, LETTERS)
    assert torch.equal(ask(["mar"]), ask(["mar"]))
    assert (model.training, model.embedding.training, model.dropout.training) == (True, False, True)


def test_a_letter_nobody_knows_and_logits_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="ë"):
        from_reader(gru(), LETTERS)(["zoë"])
    one_a_name = nn.Sequential(nn.Linear(1, 27))
    one_a_name.forward = lambda X: torch.zeros(len(X), 27)
    with pytest.raises(ValueError, match=r"each of 7 letters with 27 logits, and this one gave \(2, 27\)"):
        from_reader(one_a_name, LETTERS)(["mar", "bo"])
