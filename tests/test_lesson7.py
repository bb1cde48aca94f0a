"""What lesson 7 builds in the open equals what the library and torch hold, and what its prose says of it is so."""

import csv
import random
from pathlib import Path

import pytest
import solutions
import torch
from torch import nn

from lessons_lib import layers, recurrent
from lessons_lib.data import examples
from lessons_lib.ladder import LETTERS
from lessons_lib.reading import from_reader, packed, whole
from lessons_lib.sampling import from_network

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "07_wavenet.ipynb"
NAMES = ["deeann", "o", "otto", "nezahualcoyotl", "mia", "alexandrina"]


@pytest.fixture(scope="module")
def lesson():
    """The lesson's functions and classes, as its cells define them: imports and definitions, and nothing that runs."""
    return solutions.definitions(NOTEBOOK)


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def weighted_gradients(module, weighting, *inputs):
    """Of the parameters and of the first input, where the outputs are weighted at random."""
    given = inputs[0].clone().requires_grad_()
    out = module(given, *inputs[1:])
    out = torch.cat(out) if isinstance(out, tuple) else out
    return [out, *torch.autograd.grad((out * weighting).sum(), [given, *module.parameters()])]


def agree(ours, theirs, *inputs, rows=1):
    """Whether both give the same outputs and gradients once they hold the same numbers."""
    theirs.load_state_dict(ours.state_dict())
    shape = ours(*inputs)
    shape = shape[0].shape if isinstance(shape, tuple) else shape.shape
    weighting = numbers(rows * shape[0], *shape[1:], seed=9)
    both = (weighted_gradients(module, weighting, *inputs) for module in (ours, theirs))
    return all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*both, strict=True))


def test_its_flatten_consecutive_is_the_librarys(lesson):
    x = numbers(3, 8, 5)
    for count in (1, 2, 4, 8):
        ours, theirs = lesson["FlattenConsecutive"](count), layers.FlattenConsecutive(count)
        assert torch.equal(ours(x), theirs(x))
        assert repr(ours) == repr(theirs)
    for wrong in (x[:, :7], x[:, 0], x[:, :1]):
        with pytest.raises(ValueError, match=r"shape"):
            lesson["FlattenConsecutive"](2)(wrong)


def test_its_batchnorm_is_the_librarys_and_its_norm_over_both_axes_too(lesson):
    x = numbers(6, 4, 5) * 3 + 1
    ours, theirs = lesson["BatchNorm"](5).double(), layers.BatchNorm(5).double()
    assert agree(ours, theirs, x)
    by_hand, plain = lesson["Norm"](5, over=(0, 1)).double(), layers.BatchNorm(5).double()
    for _ in range(3):
        assert torch.allclose(by_hand(x), plain(x))
    assert torch.allclose(by_hand.running_mean, plain.running_mean)
    assert torch.allclose(by_hand.running_var, plain.running_var)
    assert torch.allclose(by_hand.eval()(x), plain.eval()(x))


def test_its_first_norm_keeps_a_mean_for_each_place_without_a_word(lesson):
    model = lesson["tree"](embedding=3, hidden=5)
    model(torch.randint(27, (16, 8), generator=torch.Generator().manual_seed(0)))
    shapes = [tuple(layer.running_mean.shape) for layer in model if isinstance(layer, lesson["Norm"])]
    assert shapes == [(4, 5), (2, 5), (1, 5)]


def test_flat_and_tree_have_the_sizes_of_the_study(lesson):
    from lessons_lib.course import ROOT

    with (ROOT / "experiments" / "readers.csv").open(encoding="utf-8", newline="") as file:
        stored = {row["reader"]: int(row["parameters"]) for row in csv.DictReader(file)}
    size, tree, flat = lesson["size"], lesson["tree"], lesson["flat"]
    assert size(flat()) == stored["flat"]
    assert size(flat(24, 344)) == stored["flat, scaled up"]
    assert size(tree(norm=layers.BatchNorm)) == stored["tree"]
    assert size(tree(24, 128, norm=layers.BatchNorm)) == stored["tree, scaled up"]
    assert size(lesson["WaveNet"](64)) == stored["WaveNet"]


def test_what_is_regularised_is_what_the_lesson_says_it_is():
    """The convolution of the readers, and the GRU of the search, each with one of its four settings as it was there."""
    from lessons_lib.course import ROOT

    def rows(file, kind):
        with (ROOT / "experiments" / file).open(encoding="utf-8", newline="") as text:
            found = [row for row in csv.DictReader(text) if row.get("data", "bundled") == "bundled"]
        names = ("embedding", "hidden", "dropout", "decay", "peak", "batch", "epochs", "parameters")
        return {tuple(row[name] for name in names) for row in found if row["kind"] == kind}

    for kind, file in (("convolution", "readers.csv"), ("GRU", "chosen.csv")):
        settings = rows("regularisation.csv", kind)
        assert len(settings) == 4
        assert rows(file, kind) < settings


def trained_tree(lesson):
    """A small tree whose running statistics are those of names, in eval mode."""
    net = lesson["started"](lesson["tree"](4, 6, norm=layers.BatchNorm), seed=1).double()
    for _ in range(20):
        net(examples(NAMES, 8, LETTERS)[0])
    return net.eval()


def test_its_causal_convolution_is_the_librarys(lesson):
    letters, place = packed(whole(NAMES, LETTERS)[0])
    for dilation in (1, 2, 4):
        ours = lesson["CausalConv"](5, 7, dilation).double()
        assert agree(ours, layers.CausalConv(5, 7, dilation).double(), numbers(len(letters), 5), place)


def test_its_gated_block_is_the_librarys(lesson):
    _, place = packed(whole(NAMES, LETTERS)[0])
    ours, theirs = lesson["GatedBlock"](6, 2).double(), layers.GatedBlock(6, 2).double()
    assert agree(ours, theirs, numbers(len(place), 6), place, rows=2)


def test_slid_with_silence_it_is_the_tree_at_every_place_and_with_zeros_it_is_not(lesson):
    net = trained_tree(lesson)
    linears = [layer for layer in net if isinstance(layer, nn.Linear)]
    convs = []
    for level, linear in enumerate(linears[:-1]):
        conv = nn.Conv1d(linear.in_features // 2, 6, 2, dilation=2**level, bias=False, dtype=torch.float64)
        conv.weight.data = linear.weight.data.view(6, 2, -1).transpose(1, 2)
        convs.append(conv)
    norms = [layer for layer in net if isinstance(layer, layers.BatchNorm)]
    tape = [lesson["CausalConv"](c.in_channels, 6, 2**n, bias=False) for n, c in enumerate(convs)]
    for conv, linear in zip(tape, linears, strict=False):
        conv.double().linear.load_state_dict(linear.state_dict())
    space = {"net": net, "linears": linears, "convs": convs, "norms": norms, "tape": tape}
    for name, value in space.items():
        lesson[name] = value
    X, there = examples(NAMES, 8, LETTERS)[0], whole(NAMES, LETTERS)[0] >= 0
    rows = whole(NAMES, LETTERS)[0]
    with torch.no_grad():
        windows = net(X)
        silent = lesson["slide"](rows.clamp(min=0), lesson["silence"])[there]
        zeros = lesson["slide"](rows.clamp(min=0), lesson["zeros"])[there]
        taped = lesson["read_tape"](*packed(rows))
    assert torch.allclose(silent, windows, atol=1e-9)
    assert torch.allclose(taped, windows, atol=1e-9)
    full = (X[:, 1:] != 0).all(1)  # seven letters or more: nothing is missing
    assert torch.allclose(zeros[full], windows[full], atol=1e-9)
    assert full.sum() > 5
    assert ((zeros - windows)[~full].abs().amax(1) > 1e-3).all()


def test_deeann_has_three_different_nodes_a_letter():
    windows = [LETTERS.decode(row) for row in examples(["deeann"], 8, LETTERS)[0]]
    nodes = [text[p : p + n] for text in windows for n in (2, 4, 8) for p in range(0, 8, n)]
    assert (len(nodes), len(set(nodes))) == (49, 21)


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell"])
def test_its_cells_are_the_librarys_and_found_equal_to_torchs(lesson, kind):
    ours = lesson[kind](7, 9).double()
    assert agree(ours, getattr(recurrent, kind)(7, 9).double(), numbers(5, 7), numbers(5, 9, seed=1))
    assert lesson["same_cell"](ours, getattr(nn, kind)(7, 9).double())


def test_a_cell_with_exchanged_gates_is_not_found_equal(lesson):
    class Exchanged(lesson["GRUCell"]):
        def forward(self, x, h):
            reset, update, new = (self.read(x) + self.keep(h)).chunk(3, dim=-1)
            linear = self.keep.weight.chunk(3)[2], self.keep.bias.chunk(3)[2]
            update, inner = update.sigmoid(), nn.functional.linear(h, *linear)
            proposed = (new + (reset.sigmoid() - 1) * inner).tanh()
            return (1 - update) * h + update * proposed

    class Later(lesson["GRUCell"]):
        def forward(self, x, h):
            r, u, n = (self.read(x) + self.keep(h)).chunk(3, dim=-1)
            return u.sigmoid() * h + (1 - u.sigmoid()) * (n + 0 * r).tanh()

    for wrong in (Exchanged, Later):
        assert not lesson["same_cell"](wrong(7, 9).double(), nn.GRUCell(7, 9).double())


@pytest.mark.parametrize("kind", ["RNNCell", "GRUCell"])
def test_its_reader_says_what_recurrent_says(lesson, kind):
    rows = whole(NAMES, LETTERS)[0]
    theirs = recurrent.Recurrent(lesson[kind](4, 6), 27, 4).double()
    ours = lesson["Reader"](lesson[kind](4, 6), 4).double()
    ours.load_state_dict(theirs.state_dict())
    assert torch.allclose(ours(rows), theirs(rows), atol=1e-9)


def test_a_ninth_letter_does_not_reach_the_tree_and_reaches_a_recurrent_network(lesson):
    texts = ["alexandrin", "xlexandrin"]
    windowed = from_network(trained_tree(lesson), 8, LETTERS)(texts)
    torch.manual_seed(0)
    carried = from_reader(recurrent.Recurrent(recurrent.GRUCell(4, 16), 27, 4), LETTERS)(texts)
    assert torch.equal(windowed[0], windowed[1])
    assert (carried[0] - carried[1]).abs().max() > 1e-7


def test_in_training_a_single_window_changes_a_tree_although_it_is_refused(lesson):
    net = trained_tree(lesson).train()
    before = [layer.running_var.clone() for layer in net if isinstance(layer, layers.BatchNorm)]
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        net(examples(["mia"], 8, LETTERS)[0][:1])
    after = [layer.running_var for layer in net if isinstance(layer, layers.BatchNorm)]
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [False, False, True]


def test_its_search_takes_up_where_it_was_broken_off(lesson, tmp_path):
    file, wanted, asked = (
        tmp_path / "trials.csv",
        [(trial, seed) for trial in range(4) for seed in (1, 2)],
        [],
    )

    def measure(trial, seed):
        asked.append((trial, seed))
        if len(asked) == 4:
            raise KeyboardInterrupt
        return f"{trial + seed / 10:.2f}"

    with pytest.raises(KeyboardInterrupt):
        lesson["search"](file, wanted, measure)
    rows = lesson["search"](file, wanted, measure)
    assert asked == [*wanted[:4], *wanted[3:]]  # the one under way is run again, what was finished is not
    assert [(int(row["trial"]), int(row["seed"])) for row in rows] == wanted
    assert rows[-1]["dev"] == "3.20"
    assert lesson["search"](file, wanted, measure) == rows
    assert len(asked) == 9


def test_a_trial_is_drawn_by_its_number_alone(lesson):
    random.seed(1)
    first = [lesson["drawn"](trial) for trial in range(30)]
    random.seed(2)
    assert [lesson["drawn"](trial) for trial in reversed(range(30))] == first[::-1]
    assert {settings["hidden"] for settings in first} == {50, 100, 200}
    rates = sorted(settings["peak"] for settings in first)
    assert rates[0] < 0.003 < rates[15] < 0.02 < rates[-1] < 0.051  # even on a logarithmic scale
    assert len(set(rates)) > 25
