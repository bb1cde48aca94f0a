"""experiments/context.csv is whole, and says what counting and training say today."""

import csv
import importlib
import sys

import pytest

from lessons_lib.data import DATA, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.longer_ngrams import kneser_ney

EXPERIMENTS = DATA.parent / "experiments"
sys.path.insert(0, str(EXPERIMENTS))
context = importlib.import_module("context")


@pytest.fixture(scope="module")
def rows():
    with context.CSV.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def names():
    return split(load_names())


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
    assert {row["model"] for row in rows} == {"floor", "network", *context.COUNTING}
    assert all(
        row["machine"] and row["python"] and row["torch"] and float(row["seconds"]) >= 0 for row in rows
    )


@pytest.mark.parametrize("model", ["floor", "Witten-Bell", "Kneser-Ney"])
def test_the_file_has_what_counting_gives_today(rows, names, model):
    found = {int(row["letters"]): row for row in rows if row["model"] == model}
    assert sorted(found) == [0, *context.MEMORIES]
    for letters in (0, 3, 8):
        if model == "floor":
            row = context.floor(names, letters)
        else:
            row = context.counting(context.COUNTING[model], names, letters)
        for column in ("train_loss", "dev_loss"):
            if row[column] != "":
                assert float(found[letters][column]) == pytest.approx(row[column], abs=1e-5)
        assert found[letters]["parameters"] == str(row["parameters"])


def test_the_file_has_what_the_ladder_has(rows):
    with (EXPERIMENTS / "ladder.csv").open(encoding="utf-8", newline="") as file:
        ladder = {row["model"]: row for row in csv.DictReader(file)}
    rungs = {
        ("Witten-Bell", "3"): "3 letters of memory, leaning on fewer",
        ("Witten-Bell", "4"): "4 letters of memory, leaning on fewer",
        ("Kneser-Ney", "5"): "5 letters of memory, leaning after Kneser and Ney",
    }
    for (model, letters), rung in rungs.items():
        (mine,) = [row for row in rows if row["model"] == model and row["letters"] == letters]
        assert float(mine["dev_loss"]) == pytest.approx(float(ladder[rung]["dev_loss"]), abs=1e-5)
        assert mine["parameters"] == ladder[rung]["parameters"]


def test_the_discount_is_the_best_of_four_at_five_letters(names):
    losses = {d: kneser_ney(names.train, 5, LETTERS, d).loss(names.dev) for d in (0.5, 0.75, 0.9, 0.95)}
    assert min(losses, key=losses.get) == context.DISCOUNT


def test_a_network_trained_today_is_the_one_in_the_file(rows, names):
    row = context.network(names, seed=2, **context.Network(1)._asdict())
    (stored,) = [r for r in rows if r["model"] == "network" and r["letters"] == "1" and r["seed"] == "2"]
    assert float(stored["dev_loss"]) == pytest.approx(row["dev_loss"], abs=5e-4)
    assert float(stored["train_loss"]) == pytest.approx(row["train_loss"], abs=5e-4)


def test_the_readme_of_the_experiments_explains_every_column():
    text = (EXPERIMENTS / "README.md").read_text(encoding="utf-8")
    section = text.split("## context.csv")[1].split("\n## ")[0]
    assert [name for name in context.COLUMNS if f"`{name}`" not in section] == []
