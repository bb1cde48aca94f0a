"""The studies of lesson 7: the readers, the search and its winners, and what packing saves."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lessons_lib.data import load_names, split
from lessons_lib.layers import BatchNorm
from lessons_lib.training import setup

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

table = importlib.import_module("table")
readers = importlib.import_module("readers")
search = importlib.import_module("search")
packing = importlib.import_module("packing")
regularisation = importlib.import_module("regularisation")


@pytest.fixture(scope="module")
def names():
    setup()
    return split(load_names())


def with_lived_in_norms(model):
    """The model in eval mode, its running statistics and gains no longer those of a new layer."""
    generator = torch.Generator().manual_seed(5)
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            with torch.no_grad():
                module.weight.uniform_(0.5, 2, generator=generator)
                module.bias.normal_(generator=generator)
    return model.eval()


# The readers.


@pytest.mark.parametrize("name", readers.READERS)
def test_a_reader_never_looks_at_what_comes_later(names, name):
    """Reading one letter more changes no answer before it."""
    reader = readers.READERS[name]
    model = readers.as_model(with_lived_in_norms(readers.build(reader, 1)), reader)
    text = "marielle"
    alone = [model([text[:length]])[0] for length in range(len(text) + 1)]
    together = model([text[:length] for length in range(len(text) + 1)])
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-5)
    assert not torch.allclose(together[3], together[4])


@pytest.mark.parametrize(
    ("name", "reach"),
    [("flat", 8), ("tree", 8), ("convolution", 8), ("WaveNet", 8), ("RNN", 12), ("GRU", 12)],
)
def test_a_reader_sees_as_far_back_as_is_said_of_it(names, name, reach):
    """Windows and convolutions see eight characters, the recurrent ones the whole name."""
    reader = readers.READERS[name]
    torch.manual_seed(0)
    model = with_lived_in_norms(readers.build(reader, 1).double())
    ask = readers.as_model(model, reader)
    text = "abcdefghijkl"

    def moved(place):
        return not torch.equal(ask([text[:place] + "z" + text[place + 1 :]]), ask([text]))

    assert [place for place in range(12) if moved(place)] == list(range(12 - reach, 12))


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("flat", 22_097),
        ("tree, a mean for each place", 22_397),
        ("tree", 22_397),
        ("tree, a matrix for each pair", 22_397),
        ("flat without BatchNorm", 22_329),
        ("flat, scaled up", 76_699),
        ("flat, scaled up, without BatchNorm", 76_575),
        ("tree, scaled up", 76_579),
        ("convolution", 76_579),
    ],
)
def test_what_is_compared_is_of_a_size(name, numbers):
    model = readers.build(readers.READERS[name], 1)
    assert sum(parameter.numel() for parameter in model.parameters()) == numbers


def test_the_mistake_is_a_mean_for_each_place_and_nothing_else():
    """On one example a place, its own statistics; with all places alike, what the right layer gives."""
    x = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    wrong, right = readers.PlaceNorm(4, 5).double(), BatchNorm(5).double()
    per_place = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(wrong(x), per_place)
    assert not torch.allclose(wrong(x), right(x), atol=0.01)
    alike = x[:, :1].expand(-1, 4, -1)
    torch.testing.assert_close(wrong(alike), right(alike))


def test_own_matrices_that_are_equal_are_the_shared_one():
    x = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(0))
    own = readers.EachPair(4, 5, 3)
    with torch.no_grad():
        for linear in own.linears:
            linear.weight.copy_(own.linears[0].weight)
    torch.testing.assert_close(own(x), x @ own.linears[0].weight.T)


def test_the_file_of_readers_is_whole():
    rows = table.read(readers.CSV)
    assert tuple(rows[0]) == readers.COLUMNS
    wanted = [
        (data, name, str(seed))
        for data in ("bundled", "makemore")
        for name in readers.READERS
        for seed in (1, 2, 3)
    ]
    assert [(row["data"], row["reader"], row["seed"]) for row in rows] == wanted
    for row in rows:
        assert search.typed(row) == readers.READERS[row["reader"]]
        assert 1.5 < float(row["train"]) < float(row["dev"]) < 2.4


def test_a_row_of_the_readers_comes_again(names):
    (row,) = (
        row
        for row in table.read(readers.CSV)
        if (row["data"], row["reader"], row["seed"]) == ("bundled", "flat", "2")
    )
    again = readers.measure(readers.READERS["flat"], names, 2)
    for column in ("train", "dev"):
        assert again[column] == pytest.approx(float(row[column]), abs=0.003)


def test_the_tree_of_the_lectures_size_is_at_its_loss_with_each_seed_and_below_it_on_average():
    losses = [
        float(row["dev"])
        for row in table.read(readers.CSV)
        if (row["data"], row["reader"]) == ("makemore", "tree, scaled up")
    ]
    assert max(losses) <= 1.993
    assert sum(losses) / 3 <= 1.98


# The search.


def test_a_trial_is_drawn_by_its_kind_and_number_alone():
    first = [search.draw("RNN", trial) for trial in range(30)]
    assert [search.draw("RNN", trial) for trial in reversed(range(40))][::-1][:30] == first
    for name, values in search.BOX.items():
        assert {getattr(reader, name) for reader in first} == set(values)
    assert search.draw("GRU", 0) != search.draw("RNN", 0)._replace(kind="GRU")


def test_the_file_of_the_search_has_every_trial_as_it_is_drawn():
    rows = table.read(search.SEARCH)
    assert tuple(rows[0]) == search.COLUMNS
    wanted = [
        (data, str(trial), search.draw(kind, trial))
        for (data, kind), count in search.TRIALS.items()
        for trial in range(count)
    ]
    assert [(row["data"], row["trial"], search.typed(row)) for row in rows] == wanted


def test_the_winners_are_those_of_the_search_with_seeds_of_their_own():
    rows, trials = table.read(search.CHOSEN), table.read(search.SEARCH)
    assert tuple(rows[0]) == search.CHOSEN_COLUMNS
    wanted = [
        (data, search.best(trials, data, kind)["trial"], str(seed))
        for data, kind in search.TRIALS
        for seed in search.SEEDS
    ]
    assert [(row["data"], row["trial"], row["seed"]) for row in rows] == wanted
    assert not set(search.SEEDS) & {int(row["trial"]) for row in trials}


def test_test_is_asked_once_for_each_list_of_names():
    rows = table.read(search.CHOSEN)
    for data in ("bundled", "makemore"):
        of_data = [row for row in rows if row["data"] == data]
        asked = [row for row in of_data if row["test"]]
        assert len(asked) == 1
        means = {}
        for row in of_data:
            means.setdefault(row["kind"], []).append(float(row["dev"]))
        assert asked[0]["kind"] == min(means, key=lambda kind: sum(means[kind]))


def test_the_winner_is_the_lowest_on_dev_of_its_kind_and_data():
    rows = [
        {"data": data, "kind": kind, "dev": dev}
        for data, kind, dev in (
            ("a", "tree", "2.5"),
            ("a", "tree", "2.41"),
            ("a", "GRU", "2.1"),
            ("b", "tree", "2"),
        )
    ]
    assert search.best(rows, "a", "tree")["dev"] == "2.41"


# Regularisation.


def test_the_file_of_regularisation_has_every_setting_with_every_seed():
    rows = table.read(regularisation.CSV)
    assert tuple(rows[0]) == regularisation.COLUMNS
    wanted = [
        (base._replace(dropout=dropout, decay=decay), str(seed))
        for base in regularisation.BASES.values()
        for dropout, decay in regularisation.SETTINGS
        for seed in regularisation.SEEDS
    ]
    assert [(search.typed(row), row["seed"]) for row in rows] == wanted


# Packing.


def test_all_four_ways_are_one_network(names):
    """Windows, padded rows and our tape give the same logits; a tape without place differs where a name begins."""
    few = names.train[:40]
    ways = packing.ways(few)
    for module, _, _ in ways.values():
        module.eval()
    tree = ways["windows"][0]
    generator = torch.Generator().manual_seed(3)
    for way in ways.values():
        for mine, theirs in zip(
            (m for m in way[0].modules() if isinstance(m, nn.BatchNorm1d)),
            (m for m in tree.modules() if isinstance(m, BatchNorm)),
            strict=True,
        ):
            if way[0] is tree:
                mine.running_mean.normal_(generator=generator)
            else:
                mine.running_mean.copy_(theirs.running_mean)
    with torch.no_grad():
        logits = {way: call() for way, (_, call, _) in ways.items()}
    windows, answers = logits["windows"]
    torch.testing.assert_close(logits["one tape, ours"][0], windows, rtol=0, atol=1e-5)
    rows, Y = logits["padded rows, Conv1d"]
    torch.testing.assert_close(rows.transpose(1, 2)[Y >= 0], windows, rtol=0, atol=1e-5)
    assert torch.equal(Y[Y >= 0], answers)
    assert torch.equal(logits["one tape, ours"][1], answers)
    crossing = logits["one tape, Conv1d"][0][0].T
    assert crossing.shape == windows.shape
    assert not torch.allclose(crossing, windows, atol=1e-2)


def test_the_file_of_packing_has_each_way_at_both_sizes_and_the_tape_pays():
    rows = table.read(packing.CSV)
    assert tuple(rows[0]) == packing.COLUMNS
    assert [(row["way"], row["names"]) for row in rows] == [
        (way, str(size)) for size in packing.SIZES for way in packing.ways(["ada"])
    ]
    large = {row["way"]: float(row["ratio"]) for row in rows if row["names"] == str(packing.SIZES[-1])}
    assert large["one tape, ours"] >= 1.5
    assert large["padded rows, Conv1d"] < 1
