"""Models without a table say what tables say, and those after Kneser and Ney what a loop over dictionaries says."""

import math
import os
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib import longer_ngrams, ngrams
from lessons_lib.data import Vocabulary, load_names, split, windows
from lessons_lib.ladder import LETTERS, evaluate, samples
from lessons_lib.longer_ngrams import kneser_ney, witten_bell

settings.register_profile("course", database=None, deadline=None)
settings.load_profile("course")

ABC = Vocabulary(["abc"])
NAMES = st.lists(st.text("abc", max_size=6), min_size=1, max_size=12)
TRAIN = ["ada", "bakti", "zoe", "marielle", "a", "aaa", "mari", "maria"]
ASKED = ["bea", "adam", "marielle", "xq"]


def grams(names, n):
    """Every n-gram as text, found by walking along each name."""
    padded = ["." * (n - 1) + name + "." for name in names]
    return [name[i : i + n] for name in padded for i in range(len(name) - n + 1)]


def plain_kneser_ney(names, letters, discount):
    """p(context, character) by the formula, with sets and dictionaries; the context has `letters` characters."""

    def counts(n):
        if n == letters + 1:
            return Counter(grams(names, n))
        return Counter(gram[1:] for gram in set(grams(names, n + 1)))

    tables = {n: counts(n) for n in range(1, letters + 2)}

    def probability(context, character):
        n = len(context) + 1
        shorter = probability(context[1:], character) if n > 1 else 1 / ABC.size
        followers = [tables[n][context + c] for c in ABC.characters]
        total, kinds = sum(followers), sum(times > 0 for times in followers)
        if not total:
            return shorter
        own = max(tables[n][context + character] - discount, 0)
        return (own + discount * kinds * shorter) / total

    return probability


def all_contexts(letters):
    if letters == 0:
        return [""]
    return [context + c for context in all_contexts(letters - 1) for c in ABC.characters]


# Against tables, loops and a pencil.


@given(NAMES, NAMES, st.integers(0, 4))
def test_leaning_after_witten_and_bell_is_the_table_of_ngrams(seen, asked, letters):
    table = ngrams.witten_bell(ngrams.count(seen, letters + 1, ABC))
    model = witten_bell(seen, letters, ABC)
    texts = ["", "a", "ab", "cab", "bbbcab", *asked]
    torch.testing.assert_close(model(texts), ngrams.as_model(table, ABC)(texts), rtol=1e-12, atol=1e-12)
    assert model.loss(asked) == pytest.approx(ngrams.loss(table, asked, ABC), rel=1e-12)


@settings(max_examples=50)
@given(NAMES, st.integers(0, 3), st.sampled_from([0.0, 0.4, 0.9, 1.0]))
def test_leaning_after_kneser_and_ney_is_its_formula_cell_by_cell(names, letters, discount):
    plain = plain_kneser_ney(names, letters, discount)
    model = kneser_ney(names, letters, ABC, discount)
    contexts = all_contexts(letters)
    rows = torch.tensor([ABC.encode(context + c) for context in contexts for c in ABC.characters])
    wanted = [plain(context, c) for context in contexts for c in ABC.characters]
    found = (-model.costs(rows)).exp()
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-15)


def test_kneser_and_ney_by_hand():
    # Of single characters: b has come after two (a and c), the other three after one each; 5 in all, 4 kinds. Half of each
    # is taken off, and 4 halves of 5 are shared by all four: (2 - 1/2) / 5 + 1/10 for b, (1 - 1/2) / 5 + 1/10 for the others.
    single = torch.tensor([0.2, 0.2, 0.4, 0.2], dtype=torch.float64)
    # After b the end came twice: 2 - 1/2 of 2 stay with it, and a quarter goes by the row above.
    after_b = 0.25 * single + torch.tensor([0.75, 0, 0, 0])
    model = kneser_ney(["ab", "cb"], 1, ABC, discount=0.5)
    torch.testing.assert_close(model(["b", "ab"]).exp(), torch.stack([after_b, after_b]))
    # Without a context to be asked from nothing stands before: plain counts, b and the end twice each, a and c once.
    alone = kneser_ney(["ab", "cb"], 0, ABC, discount=0.5)
    torch.testing.assert_close(
        alone(["b"])[0].exp(), torch.tensor([1.5, 0.5, 1.5, 0.5], dtype=torch.float64) / 6 + 1 / 12
    )


def test_kneser_and_ney_in_tables_is_the_model_without_them():
    def dense(counts):
        shorter = dense((counts > 0).sum(0)) if counts.dim() > 1 else 1 / LETTERS.size
        total, kinds = counts.sum(-1, keepdim=True), (counts > 0).sum(-1, keepdim=True)
        met = ((counts.double() - 0.9).clamp(min=0) + 0.9 * kinds.double() * shorter) / total
        return torch.where(total > 0, met, shorter)

    names = split(load_names())
    table = dense(ngrams.count(names.train[:3000], 4, LETTERS))
    model = kneser_ney(names.train[:3000], 3, LETTERS)
    texts = ["", "m", "ma", "mar", "qxz", "marielle"]
    torch.testing.assert_close(model(texts), ngrams.as_model(table, LETTERS)(texts), rtol=1e-12, atol=1e-12)
    assert model.loss(names.dev[:300]) == pytest.approx(
        ngrams.loss(table, names.dev[:300], LETTERS), rel=1e-12
    )


# As models.


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
@pytest.mark.parametrize("letters", [0, 1, 3, 8, 12])
def test_all_rows_sum_to_1_and_nothing_is_impossible(make, letters):
    model = make(TRAIN, letters, LETTERS)
    answers = model(["", "m", "mari", "marielle", "qqqqqqqqqqqq", "a" * 20])
    assert (answers.shape, answers.dtype) == ((6, 27), torch.float64)
    torch.testing.assert_close(answers.exp().sum(1), torch.ones(6, dtype=torch.float64), rtol=1e-12, atol=0)
    assert answers.isfinite().all()
    assert model([]).shape == (0, 27)


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
def test_a_context_never_met_leaves_the_answer_to_the_shorter_one(make):
    model = make(TRAIN, 5, LETTERS)
    assert model(["qxmari"]).equal(model(["zzmari"]))  # 'xmari' and 'zmari': both new, but 'mari' is known
    assert not model(["qxmari"]).equal(model(["mari"]))  # '.mari' has been met
    assert model(["qqqqq"]).equal(model(["xxxxx"]))  # neither letter has ever been followed by anything


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
def test_the_ladder_finds_the_same_loss_by_asking_the_model(make):
    model = make(TRAIN, 5, LETTERS)
    assert evaluate(model, ASKED) == pytest.approx(model.loss(ASKED), rel=1e-12)
    assert model.loss(TRAIN) < model.loss(ASKED)
    assert all(set(said) <= set(LETTERS.characters + "…") for said in samples(model))


def test_costs_are_of_the_last_character_however_long_the_row():
    model = kneser_ney(TRAIN, 2, LETTERS)
    rows = windows(ASKED, 6, LETTERS)
    assert model.costs(rows).equal(model.costs(rows[:, 3:]))
    assert model.costs(rows).mean().item() == model.loss(ASKED)


def test_without_a_discount_what_never_came_costs_infinitely_much():
    assert kneser_ney(TRAIN, 2, LETTERS, discount=0).loss(ASKED) == math.inf


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
@pytest.mark.parametrize("letters", [0, 2, 5])
def test_what_is_stored_are_the_grams_that_occur_of_every_length(make, letters):
    model = make(TRAIN, letters, LETTERS)
    assert model.stored == sum(len(set(grams(TRAIN, n))) for n in range(1, letters + 2))
    assert model.letters == letters


def test_counting_35000_names_nine_at_a_time_needs_no_more_than_the_names_do():
    names = split(load_names())
    model = kneser_ney(names.train, 8, LETTERS)
    assert model.stored < 9 * len(windows(names.train, 1, LETTERS))
    assert 2.2 < model.loss(names.dev) < 2.3


# What is refused.


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
def test_what_cannot_be_counted_is_refused(make):
    with pytest.raises(ValueError, match="has none"):
        make(TRAIN, 2, Vocabulary(["anna"], end=None))
    with pytest.raises(ValueError, match="'z' is not among"):
        make(["zoe"], 2, Vocabulary(["anna"]))
    with pytest.raises(TypeError, match="one string"):
        make("anna", 2, LETTERS)
    with pytest.raises(ValueError, match="this one has -1"):
        make(TRAIN, -1, LETTERS)
    with pytest.raises(ValueError, match="14 characters out of 27"):
        make(TRAIN, 13, LETTERS)


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
def test_a_model_refuses_what_it_cannot_answer(make):
    model = make(TRAIN, 3, LETTERS)
    with pytest.raises(ValueError, match="4 characters or more"):
        model.costs(torch.zeros(5, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="4 characters or more"):
        model.costs(torch.zeros(5, dtype=torch.int64))
    for number in (-1, 27):
        with pytest.raises(ValueError, match="from 0 to 26"):
            model.costs(torch.tensor([[0, 0, 0, number]]))
    with pytest.raises(ValueError, match="'é' is not among"):
        model(["zoé"])
    with pytest.raises(ValueError, match="no names"):
        model.loss([])


@pytest.mark.parametrize("discount", [-0.1, 1.1, math.nan])
def test_a_discount_that_makes_no_probabilities_is_refused(discount):
    with pytest.raises(ValueError, match="from 0 to 1"):
        kneser_ney(TRAIN, 2, LETTERS, discount)


@pytest.mark.parametrize("make", [witten_bell, kneser_ney])
def test_without_a_single_name_all_are_equally_likely(make):
    model = make([], 3, ABC)
    assert model.stored == 0
    torch.testing.assert_close(model(["", "abc"]).exp(), torch.full((2, 4), 0.25, dtype=torch.float64))


def test_the_modules_public_names_are_its_models():
    assert sorted(longer_ngrams.__all__) == ["LongTable", "kneser_ney", "witten_bell"]


@pytest.mark.canonical
@pytest.mark.skipif(not os.environ.get("LESSONS_DATA"), reason="LESSONS_DATA is not set")
def test_five_letters_after_kneser_and_ney_on_the_lectures_names():
    names = split(load_names("makemore"), distinct=False)
    assert kneser_ney(names.train, 5, LETTERS).loss(names.dev) == pytest.approx(1.9836, abs=1e-3)
