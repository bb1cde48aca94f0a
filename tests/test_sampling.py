"""`draw` takes each index as often as it should and never one that cannot be; `generate` spells names with it."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib.data import Vocabulary
from lessons_lib.sampling import draw, generate

settings.register_profile("course", database=None, deadline=None)
settings.load_profile("course")

LAST_BELOW_ONE = 1 - 2**-53  # the largest number that torch.rand can give in float64
WEIGHTS = st.lists(st.integers(0, 5) | st.floats(1e-12, 1), min_size=1, max_size=30).filter(any)


def seeded(seed):
    return torch.Generator().manual_seed(seed)


def probabilities(weights, dtype=torch.float64):
    weights = torch.tensor(weights, dtype=torch.float64)
    return (weights / weights.sum()).to(dtype)


def spelling(words, vocabulary):
    """A model sure of its next character: the one that follows the context in `words`. Also the contexts it was asked for."""
    asked = []

    def model(contexts):
        asked.extend(contexts)
        logs = torch.full((len(contexts), vocabulary.size), -math.inf)
        for row, context in enumerate(contexts):
            following = words[0][len(context)] if len(context) < len(words[0]) else vocabulary.end
            logs[row, vocabulary.encode(following)[0]] = 0.0
        return logs

    return model, asked


# draw


@given(WEIGHTS, st.integers(0, 2**32), st.sampled_from([torch.float32, torch.float64]))
def test_an_index_with_probability_zero_is_never_drawn(weights, seed, dtype):
    shares = probabilities(weights, dtype)
    assert shares[draw(shares, seeded(seed))] > 0


@given(WEIGHTS, st.integers(0, 2**32))
def test_the_index_drawn_is_where_the_running_sum_passes_the_random_number(weights, seed):
    shares = probabilities(weights)
    mark = torch.rand((), generator=seeded(seed), dtype=torch.float64).item() * shares.sum().item()
    index = draw(shares, seeded(seed))
    assert sum(shares[:index].tolist()) <= mark + 1e-12
    assert mark - 1e-12 <= sum(shares[: index + 1].tolist())


@pytest.mark.parametrize(("number", "expected"), [(0.0, 1), (LAST_BELOW_ONE, 3)])
@pytest.mark.parametrize("shortfall", [0.0, 5e-5, -5e-5])
def test_the_smallest_and_the_largest_random_number_stay_inside(monkeypatch, number, expected, shortfall):
    shares = torch.tensor([0.0, 0.5, 0.25, 0.25 - shortfall, 0.0])
    monkeypatch.setattr(torch, "rand", lambda *shape, **options: torch.tensor(number, dtype=torch.float64))
    assert draw(shares, seeded(0)) == expected


def test_ten_thousand_draws_come_as_often_as_their_probabilities_say():
    shares, generator, times = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05]), seeded(1), 10_000
    seen = Counter(draw(shares, generator) for _ in range(times))
    for index, share in enumerate(shares.tolist()):
        assert abs(seen[index] - share * times) <= 4 * math.sqrt(times * share * (1 - share))


def test_one_draw_uses_one_random_number_and_leaves_the_global_generator_alone():
    used, drawn = seeded(3), seeded(3)
    before = torch.get_rng_state()
    torch.rand((), generator=used, dtype=torch.float64)
    draw(torch.tensor([0.2, 0.8]), drawn)
    assert torch.equal(used.get_state(), drawn.get_state())
    assert torch.equal(before, torch.get_rng_state())


def test_a_seed_gives_the_same_draws_on_every_release_of_torch():
    generator = seeded(2147483647)
    assert [draw(torch.full((27,), 1 / 27), generator) for _ in range(8)] == [17, 22, 19, 1, 1, 25, 24, 2]


def test_certainty_is_drawn_and_gradients_are_no_hindrance():
    sure = torch.tensor([0.0, 1.0, 0.0], requires_grad=True)
    assert {draw(sure, seeded(seed)) for seed in range(20)} == {1}


@pytest.mark.parametrize(
    "row",
    [
        [0.5, 0.6],
        [0.5, 0.4],
        [1.5, -0.5],
        [0.0, 0.0],
        [math.nan, 1.0],
        [math.inf, 1.0],
        [2.0, -1.0, 0.3],
    ],
)
def test_what_is_not_a_row_of_probabilities_is_refused(row):
    with pytest.raises(ValueError, match=r"not probabilities: the smallest is .* and they sum to"):
        draw(torch.tensor(row), seeded(0))


@pytest.mark.parametrize("shape", [(), (0,), (1, 2)])
def test_anything_but_one_row_is_refused_with_its_shape(shape):
    with pytest.raises(ValueError, match=r"one row of probabilities, shape \(C,\), and got"):
        draw(torch.full(shape, 0.5), seeded(0))


def test_a_draw_that_could_not_be_repeated_is_refused():
    with pytest.raises(TypeError, match=r"torch\.Generator of its own"):
        draw(torch.tensor([1.0]), None)


# generate


def test_a_model_sure_of_its_spelling_spells_the_name_from_the_empty_context_on():
    vocabulary = Vocabulary(["emma"])
    model, asked = spelling(["emma"], vocabulary)
    assert generate(model, vocabulary, seeded(0)) == "emma"
    assert asked == ["", "e", "em", "emm", "emma"]


def test_a_name_may_end_before_its_first_letter():
    vocabulary = Vocabulary(["emma"])
    assert generate(spelling([""], vocabulary)[0], vocabulary, seeded(0)) == ""


def test_a_name_that_will_not_end_is_cut_and_says_so():
    vocabulary = Vocabulary(["a"])
    assert generate(spelling(["a" * 40], vocabulary)[0], vocabulary, seeded(0), max_length=7) == "aaaaaaa…"
    assert generate(spelling(["a" * 40], vocabulary)[0], vocabulary, seeded(0)) == "a" * 16 + "…"


def test_names_are_repeated_by_their_seed():
    vocabulary = Vocabulary(["abc"])

    def model(contexts):
        return torch.full((len(contexts), 4), -math.log(4))

    first = [generate(model, vocabulary, seeded(seed)) for seed in range(10)]
    assert first == [generate(model, vocabulary, seeded(seed)) for seed in range(10)]
    assert len(set(first)) > 5
