"""experiments/context.py: tables without tables are the tables of lesson 2, and the committed file is whole and true."""

import csv
import importlib
import sys

import pytest
import torch

from lessons_lib import ngrams
from lessons_lib.data import DATA, load_names, split
from lessons_lib.ladder import LETTERS

EXPERIMENTS = DATA.parent / "experiments"
TRAIN = ["ada", "bakti", "zoe", "marielle", "a", "aaa", "mari", "maria"]
sys.path.insert(0, str(EXPERIMENTS))
context = importlib.import_module("context")
ASKED = ["bea", "adam", "marielle", "xq"]


@pytest.fixture(scope="module")
def rows():
    with context.CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def names():
    return split(load_names())


@pytest.mark.parametrize("letters", [0, 1, 2, 3])
def test_a_table_without_a_table_is_the_table(letters):
    counts = ngrams.count(TRAIN, letters + 1, LETTERS)
    table = ngrams.witten_bell(counts)
    losses, stored = context.leaning(TRAIN, [TRAIN, ASKED], letters)
    assert losses[0] == pytest.approx(ngrams.loss(table, TRAIN, LETTERS), rel=1e-12)
    assert losses[1] == pytest.approx(ngrams.loss(table, ASKED, LETTERS), rel=1e-12)
    shorter = [ngrams.count(TRAIN, n, LETTERS) for n in range(1, letters + 1)]
    assert stored == sum(int((table > 0).sum()) for table in [counts, *shorter])


def test_eight_letters_need_no_more_memory_than_the_names_do():
    (known, unknown), _ = context.leaning(TRAIN, [TRAIN, ASKED], 8)
    assert 0 < known < unknown < 10


def test_what_is_not_among_the_keys_is_0():
    keys, values = torch.tensor([2, 5, 9]), torch.tensor([20, 50, 90])
    assert context.look_up(keys, values, torch.tensor([9, 1, 5, 6, 10, 2])).tolist() == [90, 0, 50, 0, 0, 20]


def test_n_characters_are_a_number_in_base_27():
    assert context.as_numbers(torch.tensor([[5, 1, 0, 2]]), 3).tolist() == [27**2 + 2]


# The file.


def test_every_network_has_a_row_for_every_seed(rows):
    wanted = sorted((*map(str, size), str(seed)) for size in context.NETWORKS for seed in context.SEEDS)
    columns = (*context.Network._fields, "seed")
    networks = [row for row in rows if row["model"] == "network"]
    assert sorted(tuple(row[column] for column in columns) for row in networks) == wanted
    for row in networks:
        letters, size, hidden = (int(row[name]) for name in ("letters", "embedding", "hidden"))
        assert int(row["parameters"]) == 27 * size + (letters * size + 1) * hidden + (hidden + 1) * 27


def test_every_row_says_where_it_was_made(rows):
    assert tuple(rows[0]) == context.COLUMNS
    assert {row["model"] for row in rows} == {"floor", "counting", "network"}
    assert all(
        row["machine"] and row["python"] and row["torch"] and float(row["seconds"]) >= 0 for row in rows
    )


@pytest.mark.parametrize("model", ["floor", "counting"])
def test_the_file_has_what_counting_gives_today(rows, names, model):
    found = {int(row["letters"]): row for row in rows if row["model"] == model}
    assert sorted(found) == [0, *context.MEMORIES]
    for letters in (0, 3, 8):
        row = (context.floor if model == "floor" else context.counting)(names, letters)
        for column in ("train_loss", "dev_loss"):
            if row[column] != "":
                assert float(found[letters][column]) == pytest.approx(row[column], abs=1e-5)
        assert found[letters]["parameters"] == str(row["parameters"])


def test_the_file_has_what_the_ladder_has(rows):
    with (EXPERIMENTS / "ladder.csv").open(encoding="utf-8", newline="") as file:
        ladder = {row["model"]: row for row in csv.DictReader(file)}
    for letters in ("3", "4"):
        (mine,) = [row for row in rows if row["model"] == "counting" and row["letters"] == letters]
        rung = ladder[f"{letters} letters of memory, leaning on fewer"]
        assert float(mine["dev_loss"]) == pytest.approx(float(rung["dev_loss"]), abs=1e-5)
        assert mine["parameters"] == rung["parameters"]


def test_a_network_trained_today_is_the_one_in_the_file(rows, names):
    row = context.network(names, seed=2, **context.Network(1)._asdict())
    (stored,) = [r for r in rows if r["model"] == "network" and r["letters"] == "1" and r["seed"] == "2"]
    assert float(stored["dev_loss"]) == pytest.approx(row["dev_loss"], abs=5e-4)
    assert float(stored["train_loss"]) == pytest.approx(row["train_loss"], abs=5e-4)


def test_the_readme_of_the_experiments_explains_every_column():
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    section = text.split("## context.csv")[1].split("\n## ")[0]
    assert [name for name in context.COLUMNS if f"`{name}`" not in section] == []
