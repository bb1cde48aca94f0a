"""The studies of lesson 8: their files are whole, their recipes are those the lesson names, and they train what they say."""

import csv
import importlib
import re
import sys
from pathlib import Path

import pytest
import torch

from lessons_lib.data import load_names, split
from lessons_lib.ladder import LETTERS, uniform
from lessons_lib.training import setup
from lessons_lib.transformer import GPT, text_loss

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

table = importlib.import_module("table")
texts = importlib.import_module("texts")
fast = importlib.import_module("fast")
parts = importlib.import_module("parts")
curve = importlib.import_module("curve")
vocabularies = importlib.import_module("vocabularies")
gpt_names = importlib.import_module("gpt_names")

SHORT = texts.Recipe(width=16, heads=2, layers=1, block=8, batch=4, steps=30)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    setup()


@pytest.fixture(scope="module")
def plays():
    return texts.in_characters(texts.texts()["bundled"])


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("path", "columns"),
    [
        (fast.CSV, fast.COLUMNS),
        (parts.CSV, parts.COLUMNS),
        (curve.CSV, curve.COLUMNS),
        (curve.STAGES, curve.STAGE_COLUMNS),
        (vocabularies.CSV, vocabularies.COLUMNS),
        (gpt_names.CSV, gpt_names.COLUMNS),
    ],
    ids=lambda value: value.stem if isinstance(value, Path) else "",
)
def test_a_committed_file_has_its_columns_and_says_where_it_was_made(path, columns):
    rows = rows_of(path)
    assert tuple(rows[0]) == tuple(columns)
    for row in rows:
        assert re.fullmatch(r"\d+ CPU cores, \d+ used", row["machine"])
        assert row["torch"].startswith("2.")


def test_every_row_of_fast_that_the_study_asks_for_is_there():
    tried = [(row["data"], row["row"], row["seed"]) for row in rows_of(fast.CSV)]
    wanted = fast.wanted(["bundled", "tinyshakespeare"])
    assert tried == [(one["data"], one["row"], str(one["seed"])) for one in wanted]


def test_every_row_of_parts_has_three_seeds_at_every_peak_on_the_plays_and_at_the_best_on_the_lectures_text():
    rows = rows_of(parts.CSV)
    tried = [(row["data"], row["row"], float(row["peak"]), int(row["seed"])) for row in rows]
    plays = parts.wanted("bundled", dict.fromkeys(parts.LADDER, parts.PEAKS))
    others = parts.wanted("tinyshakespeare", {row: (parts.best_peak(rows, row),) for row in parts.LADDER})
    assert tried == [(one["data"], one["row"], one["peak"], one["seed"]) for one in plays + others]


def test_every_gpt_on_names_has_three_seeds_on_the_bundled_list_and_one_on_the_lectures():
    tried = [(row["data"], row["row"], row["seed"]) for row in rows_of(gpt_names.CSV)]
    bundled = [("bundled", row, seed) for row in gpt_names.ROWS for seed in "123"]
    assert tried == [*bundled, ("makemore", "fast", "1")]


def test_the_stages_are_passed_in_order_and_each_sample_has_240_characters():
    rows = rows_of(curve.STAGES)
    assert [float(row["loss"]) for row in rows] == list(curve.LEVELS)
    for row in rows:
        assert float(row["val"]) <= float(row["loss"])
        assert len(row["sample"]) == curve.LENGTH


def test_the_recipe_of_nanogpt_is_the_one_of_its_readme():
    recipe = fast.NANOGPT
    assert (recipe.layers, recipe.heads, recipe.width, recipe.block) == (4, 4, 128, 64)
    assert (recipe.batch, recipe.steps, recipe.peak, recipe.parts) == (12, 2000, 0.001, "")
    rates = [texts.schedule(recipe)(step) for step in range(2000)]
    assert rates[0] < 2e-5
    assert max(rates) == pytest.approx(0.001, rel=0.01)
    assert rates.index(max(rates)) == pytest.approx(100, abs=1)
    assert rates[-1] == pytest.approx(0.0001, rel=0.01)
    assert rates[101:] == sorted(rates[101:], reverse=True)


def test_parts_are_added_in_their_order_and_each_is_left_out_once():
    rows = fast.recipes(fast.SMALL)
    assert [rows[name].parts.count("+") + bool(rows[name].parts) for name in list(rows)[:6]] == [
        0,
        1,
        2,
        3,
        4,
        4,
    ]
    for part in texts.PARTS:
        assert part not in rows[f"all but {part}"].parts
        assert len(rows[f"all but {part}"].parts.split("+")) == 3


def test_a_text_is_cut_by_place_at_nine_tenths(plays):
    text = texts.texts()["bundled"]
    assert len(plays.train) + len(plays.val) == len(text)
    assert len(plays.train) == len(text) * 9 // 10


def test_rows_are_pieces_of_the_text_and_what_follows_them():
    numbers = torch.arange(100)
    X, Y = texts.rows(numbers, SHORT.block, 120, seed=1)
    assert X.shape == Y.shape == (120, 8)
    assert Y.equal(X + 1)
    assert (X[:, 1:] - X[:, :-1]).eq(1).all()
    assert not X.equal(texts.rows(numbers, SHORT.block, 120, seed=2)[0])


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "nanoGPT"])
def test_training_by_a_recipe_lowers_the_loss_and_repeats(plays, optimizer):
    recipe = SHORT._replace(optimizer=optimizer, steps=120, bits=64)
    one, _ = texts.trained(recipe, plays, 1)
    other, _ = texts.trained(recipe, plays, 1)
    few = plays.val[:2000]
    assert isinstance(one, GPT)
    assert text_loss(one, few) == text_loss(other, few)
    assert text_loss(one, few) < text_loss(texts.build(recipe, plays.size, 1), few) - 0.2


def test_the_residual_stack_of_the_ladder_of_parts_is_its_parts(plays):
    torch.manual_seed(0)
    stack = parts.Stack(plays.size, parts.LADDER["+ LayerNorm"]).double()
    tokens = plays.val[None, :8]
    x = stack.tokens(tokens) + stack.places.weight
    for norm, step in zip(stack.norms, stack.steps, strict=True):
        x = x + step(norm(x))
    assert stack(tokens).equal(stack.out(stack.norm(x)))


@pytest.mark.parametrize("row", parts.LADDER)
def test_no_network_of_the_ladder_of_parts_sees_what_comes(plays, row):
    torch.manual_seed(0)
    stack = parts.Stack(plays.size, parts.LADDER[row]).double()
    tokens = plays.val[None, :8].clone()
    before = stack(tokens)
    tokens[0, 5] = (tokens[0, 5] + 1) % plays.size
    assert stack(tokens)[0, :5].equal(before[0, :5])
    assert not stack(tokens)[0, 5].equal(before[0, 5])


@pytest.mark.parametrize(("kind", "size"), vocabularies.KINDS[1:])
def test_other_tokens_are_learned_on_the_training_part_and_fit_the_vocabulary(kind, size):
    text = texts.texts()["bundled"][:60_000]
    if size > 512:
        pytest.skip("a piece of the text has too few pieces for so large a vocabulary")
    tokens = vocabularies.in_tokens(text, kind, size)
    assert tokens.size == size
    assert int(max(tokens.train.max(), tokens.val.max())) < size
    assert tokens.val_characters == len(texts.cut(text)[1])
    assert len(tokens.val) < tokens.val_characters


def test_drawn_names_follow_the_model():
    always = torch.full((27,), -torch.inf, dtype=torch.float64)

    def model(said):  # spells ana, then ends
        rows = []
        for text in said:
            row = always.clone()
            row[LETTERS.encode("ana."[len(text)])[0]] = 0.0
            rows.append(row)
        return torch.stack(rows)

    assert gpt_names.sampled(model, 5, seed=1) == ["ana"] * 5
    first, again = (gpt_names.sampled(uniform, 50, seed=1) for _ in range(2))
    assert first == again
    assert len(set(first)) > 40
    assert all(len(name) <= gpt_names.BLOCK for name in first)


def test_copies_are_told_from_new_names():
    names = split(load_names())

    def model(said):
        target = names.train[0] + LETTERS.end
        rows = torch.full((len(said), 27), -torch.inf, dtype=torch.float64)
        for row, text in zip(rows, said, strict=True):
            row[LETTERS.encode(target[len(text)])[0]] = 0.0
        return rows

    found = gpt_names.remembered(model, names, 1)
    assert (found["train"], found["held"], found["new"], found["different"]) == (1.0, 0.0, 0.0, 1)
