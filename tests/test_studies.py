"""The longer studies can be broken off and taken up again, and their committed files hold what the lessons say they do."""

import csv
import importlib
import re
import sys
from pathlib import Path

import pytest

from lessons_lib.training import setup

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))

table = importlib.import_module("table")
starts = importlib.import_module("starts")
depth = importlib.import_module("depth")
three_letters = importlib.import_module("three_letters")

COLUMNS = ("size", "seed", "loss", *table.MACHINE)
WANTED = [{"size": size, "seed": seed} for size in (1, 2) for seed in (1, 2)]


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def measured():
    """A study that notes what it was asked for; `measured.stop` is the size at which it is interrupted."""

    def measure(size, seed):
        if size == measure.stop:
            raise KeyboardInterrupt
        measure.asked.append((size, seed))
        return {"loss": size / seed}

    measure.asked, measure.stop = [], None
    return measure


def test_a_study_that_was_broken_off_goes_on_where_it_was(tmp_path, measured):
    path, measured.stop = tmp_path / "study.csv", 2
    with pytest.raises(KeyboardInterrupt):
        table.fill(path, COLUMNS, WANTED, measured, fresh=False)
    assert [row["loss"] for row in rows_of(path)] == ["1.0", "0.5"]
    measured.stop = None
    table.fill(path, COLUMNS, WANTED, measured, fresh=False)
    assert measured.asked == [(1, 1), (1, 2), (2, 1), (2, 2)]
    assert [row["loss"] for row in rows_of(path)] == ["1.0", "0.5", "2.0", "1.0"]


def test_rows_keep_their_order_and_those_no_longer_wanted_go(tmp_path, measured):
    path = tmp_path / "study.csv"
    table.fill(path, COLUMNS, WANTED[1:], measured, fresh=False)
    table.fill(path, COLUMNS, WANTED[:3], measured, fresh=False)
    assert [(row["size"], row["seed"]) for row in rows_of(path)] == [("1", "1"), ("1", "2"), ("2", "1")]
    assert measured.asked[-1] == (1, 1)


def test_a_study_can_be_done_afresh(tmp_path, measured):
    path = tmp_path / "study.csv"
    for _ in range(2):
        table.fill(path, COLUMNS, WANTED, measured, fresh=True)
    assert len(measured.asked) == 8


def test_no_half_written_file_is_left(tmp_path, measured):
    table.fill(tmp_path / "study.csv", COLUMNS, WANTED, measured, fresh=False)
    assert [path.name for path in tmp_path.iterdir()] == ["study.csv"]


@pytest.mark.parametrize("study", [starts, depth, three_letters], ids=lambda study: study.__name__)
def test_a_committed_study_is_whole_and_says_where_it_was_made(study):
    rows = rows_of(study.CSV)
    assert tuple(rows[0]) == study.COLUMNS
    for row in rows:
        assert re.fullmatch(r"\d+ CPU cores, \d+ used", row["machine"])
        assert row["torch"].startswith("2.")


def test_every_start_was_tried_with_three_seeds_on_both_lists_of_names():
    tried = [(row["data"], row["start"], row["seed"]) for row in rows_of(starts.CSV)]
    assert tried == [
        (data, start, seed) for data in ("bundled", "makemore") for start in starts.STARTS for seed in "123"
    ]


def test_every_deep_network_was_tried_at_three_rates_with_three_seeds():
    tried = [(row["depth"], row["start"], float(row["rate"]), row["seed"]) for row in rows_of(depth.CSV)]
    assert tried == [
        (layers, start, rate, seed)
        for layers, names in (("20", depth.STARTS), ("50", depth.DEEPEST))
        for start in names
        for rate in depth.RATES
        for seed in "123"
    ]


def test_a_row_of_the_deep_networks_computed_anew_is_the_committed_one():
    setup()
    [stored] = [
        float(row["dev"])
        for row in rows_of(depth.CSV)
        if (row["depth"], row["start"], row["rate"], row["seed"]) == ("20", "gain 1", "0.05", "2")
    ]
    assert depth.train(20, "gain 1", 0.05, 2)["dev"] == pytest.approx(stored, abs=0.01)


def test_the_starts_differ_in_their_scales_alone():
    careless, well = starts.network("as in lesson 4", seed=1), starts.network("scaled by fan-in", seed=1)
    assert (well[2].weight / careless[2].weight).std() < 1e-6
    assert (well[4].weight / careless[4].weight).std() < 1e-6
    assert well[0].weight.equal(careless[0].weight)
    assert well[4].bias.abs().max() == 0


def test_the_readme_of_the_experiments_tells_of_every_file():
    readme = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    for path in EXPERIMENTS.glob("*.csv"):
        assert f"## {path.name}" in readme
        section = readme.split(f"## {path.name}")[1].split("\n## ")[0]
        for column in rows_of(path)[0]:
            assert f"`{column}`" in section, (path.name, column)
