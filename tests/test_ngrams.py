"""Counting models agree with loops that are slow and obvious, and refuse what they cannot count."""

import math
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib import ngrams
from lessons_lib.data import Vocabulary, load_names
from lessons_lib.ladder import LETTERS, evaluate, my_name, samples, unigram
from lessons_lib.ngrams import add_k, as_model, count, floor, loss, windows, witten_bell

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import counting

settings.register_profile("course", database=None, deadline=None)
settings.load_profile("course")

ABC = Vocabulary(["abc"])
NAMES = st.lists(st.text("abc", max_size=6), min_size=1, max_size=15)
ORDERS = st.integers(1, 4)


def plain_windows(names, n):
    """Every n-gram as text, found by walking along each name."""
    found = []
    for name in names:
        padded = "." * (n - 1) + name + "."
        for place in range(len(name) + 1):
            found.append(padded[place : place + n])
    return found


def table(n, value):
    """The tensor whose cells are value(context, character), asked one after another."""
    result = torch.empty((ABC.size,) * n, dtype=torch.float64)
    for cell in torch.cartesian_prod(*[torch.arange(ABC.size)] * n).view(-1, n).tolist():
        text = ABC.decode(cell)
        result[tuple(cell)] = value(text[:-1], text[-1])
    return result


# From names to counts.


@given(NAMES, ORDERS)
def test_windows_are_the_characters_of_each_name_with_those_before(names, n):
    found = windows(names, n, ABC)
    assert (found.dtype, found.shape[1]) == (torch.int64, n)
    assert [ABC.decode(row) for row in found] == plain_windows(names, n)


def test_windows_of_a_name_written_out():
    found = windows(["ab", "", "c"], 3, ABC)
    assert [ABC.decode(row) for row in found] == ["..a", ".ab", "ab.", "...", "..c", ".c."]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_no_names_make_no_windows_and_a_table_of_zeros(n):
    assert windows([], n, ABC).shape == (0, n)
    assert count([], n, ABC).shape == (ABC.size,) * n
    assert not count([], n, ABC).any()


def test_letters_beyond_ascii_and_another_end_mark_are_counted_like_any():
    words = Vocabulary(["żółć", "𝔞e"], end="|")
    found = windows(iter(["żółć", "𝔞e"]), 2, words)
    assert [words.decode(row) for row in found] == ["|ż", "żó", "ół", "łć", "ć|", "|𝔞", "𝔞e", "e|"]


def test_names_that_cannot_be_counted_are_refused_with_the_reason():
    with pytest.raises(TypeError, match="one string, 'anna'"):
        windows("anna", 2, LETTERS)
    with pytest.raises(ValueError, match="n is 0"):
        windows(["anna"], 0, LETTERS)
    with pytest.raises(ValueError, match=r"'a\.b' has the end mark '\.' inside"):
        windows(["anna", "a.b"], 2, LETTERS)
    with pytest.raises(ValueError, match="'Z' is not among"):
        windows(["Zoe"], 2, LETTERS)
    with pytest.raises(
        ValueError, match="'ë' is not among"
    ):  # its code point lies beyond those of the alphabet
        windows(["zoë"], 2, LETTERS)
    with pytest.raises(ValueError, match="has none"):
        windows(["anna"], 2, Vocabulary(["anna"], end=None))


@given(NAMES, ORDERS)
def test_counts_are_those_of_a_counter(names, n):
    counted = Counter(plain_windows(names, n))
    found = count(names, n, ABC)
    assert found.dtype == torch.int64
    assert found.equal(table(n, lambda context, character: counted[context + character]).long())


@given(NAMES, st.integers(2, 4))
def test_summing_over_the_first_axis_gives_the_table_of_shorter_grams(names, n):
    assert count(names, n, ABC).sum(0).equal(count(names, n - 1, ABC))


@given(NAMES)
def test_every_character_is_entered_as_often_as_it_is_left(names):
    counts = count(names, 2, ABC)
    assert counts.sum(0).equal(counts.sum(1))


def test_a_table_too_large_to_make_is_refused_with_its_size():
    with pytest.raises(ValueError, match=r"387,420,489 cells, 3\.1 GB"):
        count(["anna"], 6, LETTERS)


def test_the_bench_races_three_ways_to_the_same_table():
    names = load_names()[:300]
    race = counting.race(names, turns=1)
    assert race["agree"]
    assert (race["names"], race["bigrams"]) == (300, sum(len(name) + 1 for name in names))
    assert list(race["seconds"]) == ["in_a_dictionary", "in_a_tensor", "vectorised"]


def test_35000_names_are_counted_in_a_blink():
    names = load_names()
    start = time.process_time()
    counts = count(names, 2, LETTERS)
    assert time.process_time() - start < 0.5  # 0.02 s; a loop that adds to a tensor takes over a second
    assert counts.sum() == sum(len(name) + 1 for name in names)


# From counts to probabilities.


@given(NAMES, ORDERS, st.sampled_from([0.01, 1, 50]))
def test_add_k_is_the_share_of_a_character_after_k_more_of_each(names, n, k):
    counted = Counter(plain_windows(names, n))
    before = Counter(gram[:-1] for gram in plain_windows(names, n))

    def share(context, character):
        return (counted[context + character] + k) / (before[context] + k * ABC.size)

    found = add_k(count(names, n, ABC), k)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, table(n, share), rtol=1e-12, atol=0)


def test_without_anything_added_a_context_never_seen_is_a_row_of_nan():
    found = add_k(count(["ab"], 2, ABC), 0)
    assert found[ABC.encode("a")[0]].tolist() == [0, 0, 1, 0]
    assert found.isnan().all(1).tolist() == [False, False, False, True]  # nothing ever followed c


def test_adding_very_much_makes_all_characters_equally_likely():
    assert (add_k(count(["abc", "aab"], 2, ABC), 1e9) - 1 / 4).abs().max() < 1e-8


@pytest.mark.parametrize("k", [-0.1, math.inf, math.nan])
def test_a_k_that_makes_no_probabilities_is_refused(k):
    with pytest.raises(ValueError, match="k must be 0 or more"):
        add_k(count(["ab"], 2, ABC), k)


def plain_witten_bell(names, n):
    """p(context, character), by the formula and by recursion, from counts that are made anew for each order."""
    counted = Counter(plain_windows(names, n))

    def probability(context, character):
        shorter = plain_witten_bell(names, n - 1)(context[1:], character) if n > 1 else 1 / ABC.size
        followers = [counted[context + c] for c in ABC.characters]
        kinds, total = sum(times > 0 for times in followers), sum(followers)
        if not total:
            return shorter
        return (counted[context + character] + kinds * shorter) / (total + kinds)

    return probability


@settings(max_examples=25)
@given(NAMES, st.integers(1, 3))
def test_witten_bell_is_its_formula_applied_cell_by_cell(names, n):
    found = witten_bell(count(names, n, ABC))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found, table(n, plain_witten_bell(names, n)), rtol=1e-12, atol=0)


@given(NAMES, ORDERS)
def test_witten_bell_gives_everything_some_probability_and_all_of_it_1(names, n):
    found = witten_bell(count(names, n, ABC))
    assert (found > 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones_like(found.sum(-1)))


def test_witten_bell_by_hand():
    # Three characters were seen, a, b and the end, once each: 3 kinds, 3 times. c gets 3 * 1/4 of the 3 + 3, the others 1 more.
    single = witten_bell(count(["ab"], 1, ABC))
    torch.testing.assert_close(single, torch.tensor([7, 7, 7, 3], dtype=torch.float64) / 24)
    pairs = witten_bell(count(["ab"], 2, ABC))
    torch.testing.assert_close(pairs[1], (single + torch.tensor([0, 0, 1, 0])) / 2)  # a: one kind, seen once
    assert pairs[3].equal(single)  # c was never seen: the shorter context answers alone


def test_counts_stay_as_they_were():
    counts = count(["abc", "aab"], 3, ABC)
    before = counts.clone()
    add_k(counts, 1.0)
    add_k(counts.double(), 1.0)
    witten_bell(counts)
    assert counts.equal(before)
    decimal = counts.double()
    add_k(decimal, 1.0)
    assert decimal.equal(before.double())


def test_without_a_single_name_witten_bell_holds_all_equally_likely():
    assert (witten_bell(count([], 3, ABC)) == 1 / 4).all()


def test_a_lone_number_is_no_table_of_counts():
    with pytest.raises(ValueError, match="at least one axis"):
        witten_bell(torch.tensor(7))


# What they are worth.


@given(NAMES, NAMES, ORDERS)
def test_the_loss_is_the_mean_surprise_over_characters(seen, names, n):
    probabilities = witten_bell(count(seen, n, ABC))
    costs = [-math.log(probabilities[tuple(ABC.encode(gram))]) for gram in plain_windows(names, n)]
    assert loss(probabilities, names, ABC) == pytest.approx(sum(costs) / len(costs), rel=1e-12)


def test_what_never_occurred_costs_infinitely_much_and_what_has_no_row_is_nan():
    probabilities = add_k(count(["ab"], 2, ABC), 0)
    assert loss(probabilities, ["ab"], ABC) == 0
    assert loss(probabilities, ["ab", "ba"], ABC) == math.inf
    assert math.isnan(loss(probabilities, ["ca"], ABC))


def test_a_single_precision_table_is_summed_in_double():
    names = load_names()
    probabilities = add_k(count(names, 2, LETTERS), 1)
    assert loss(probabilities.float(), names, LETTERS) == pytest.approx(
        loss(probabilities, names, LETTERS), abs=1e-8
    )


@given(NAMES, st.integers(0, 8))
def test_the_floor_is_the_loss_of_the_counted_shares(names, k):
    grams = plain_windows(names, k + 1)
    counted, before = Counter(grams), Counter(gram[:-1] for gram in grams)
    costs = [-math.log(counted[gram] / before[gram[:-1]]) for gram in grams]
    assert floor(names, k, ABC) == pytest.approx(sum(costs) / len(costs), abs=1e-12)
    assert floor(names, k, ABC) >= 0


@given(NAMES, st.integers(0, 3), st.sampled_from([0, 0.3, 5]))
def test_no_table_goes_below_the_floor_and_nothing_added_reaches_it(names, k, more):
    counts = count(names, k + 1, ABC)
    assert floor(names, k, ABC) <= loss(add_k(counts, more), names, ABC) + 1e-12
    assert floor(names, k, ABC) <= loss(witten_bell(counts), names, ABC) + 1e-12
    assert floor(names, k, ABC) == pytest.approx(loss(add_k(counts, 0), names, ABC), abs=1e-12)


def test_the_floor_of_a_long_context_needs_no_table():
    names = load_names()[:2000]
    # Distinct names, wholly remembered: only where one name begins another, or two part, is anything left to guess.
    assert floor(names, 20, LETTERS) == floor(names, 15, LETTERS)
    whole = Counter(name[:place] for name in names for place in range(len(name) + 1))
    forks = Counter((name + ".")[: place + 1] for name in names for place in range(len(name) + 1))
    costs = sum(times * math.log(whole[start[:-1]] / times) for start, times in forks.items())
    assert floor(names, 20, LETTERS) == pytest.approx(costs / forks.total(), abs=1e-12)


def test_there_is_no_loss_and_no_floor_without_names():
    with pytest.raises(ValueError, match="no names"):
        loss(witten_bell(count(["ab"], 2, ABC)), [], ABC)
    with pytest.raises(ValueError, match="no names"):
        floor([], 1, ABC)
    with pytest.raises(ValueError, match="k is -1"):
        floor(["ab"], -1, ABC)


# As models of the ladder.


@given(NAMES, NAMES, ORDERS)
def test_the_ladder_finds_the_same_loss_by_asking_the_model(seen, names, n):
    probabilities = witten_bell(count(seen, n, ABC))
    found = evaluate(as_model(probabilities, ABC), names, ABC)
    assert found == pytest.approx(loss(probabilities, names, ABC), rel=1e-12)


def test_a_model_answers_in_logarithms_one_row_per_context_however_long():
    names = load_names()[:500]
    for n in (1, 2, 3):
        probabilities = witten_bell(count(names, n, LETTERS))
        contexts = ["", "a", "ab", "zab", "qqqqqqzab"]
        answers = as_model(probabilities, LETTERS)(contexts)
        assert (answers.shape, answers.dtype) == ((5, 27), torch.float64)
        assert as_model(probabilities.float(), LETTERS)(contexts).dtype == torch.float64
        for context, answer in zip(contexts, answers, strict=True):
            row = ("." * n + context)[len(context) + 1 :]
            assert answer.equal(probabilities[tuple(LETTERS.encode(row))].log())
    assert as_model(probabilities, LETTERS)([]).shape == (0, 27)


def test_a_table_of_single_characters_is_the_ladders_unigram():
    names = load_names()[:500]
    ours = as_model(add_k(count(names, 1, LETTERS), 0), LETTERS)
    torch.testing.assert_close(ours(["", "ab"]), unigram(names)(["", "ab"]), rtol=1e-12, atol=0)


def test_a_counted_model_speaks_and_scores_a_name(capsys):
    names = load_names()[:500]
    model = as_model(add_k(count(names, 2, LETTERS), 0), LETTERS)
    assert all(set(said) <= set(LETTERS.characters + "…") for said in samples(model))
    my_name("anna", {"counted bigrams": model})
    assert "times as likely as by blind guessing" in capsys.readouterr().out


def test_with_all_context_and_nothing_added_a_model_can_only_repeat():
    names = ["abc", "cab", "bca"]
    assert set(samples(as_model(add_k(count(names, 4, ABC), 0), ABC), ABC, count=20)) == set(names)


@pytest.mark.parametrize("shape", [(), (26,), (27, 28), (4, 4)])
def test_a_table_of_another_alphabet_is_refused(shape):
    for use in (lambda odd: loss(odd, ["anna"], LETTERS), lambda odd: as_model(odd, LETTERS)):
        with pytest.raises(ValueError, match=r"a table for 27 characters"):
            use(torch.ones(shape))


def test_running_text_without_an_end_mark_has_no_names_to_model():
    text = Vocabulary(["abc"], end=None)
    with pytest.raises(ValueError, match="has none"):
        as_model(torch.full((3, 3), 1 / 3), text)


def test_the_modules_public_names_are_its_public_functions():
    public = [
        name for name, thing in vars(ngrams).items() if getattr(thing, "__module__", "") == ngrams.__name__
    ]
    assert sorted(ngrams.__all__) == sorted(name for name in public if not name.startswith("_"))
