"""`draw` takes each index as often as it should and never one that cannot be; `generate` spells names with it, networks too."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lessons_lib.data import Vocabulary, examples
from lessons_lib.ladder import LETTERS, evaluate, samples
from lessons_lib.sampling import choose, draw, from_network, generate
from lessons_lib.training import split_loss

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


# Temperature.

ABC = Vocabulary(["abc"])
LEANING = torch.tensor([0.1, 0.6, 0.3, 0.0], dtype=torch.float64)  # of ".", a, b, c


def leaning(contexts):
    return LEANING.log().expand(len(contexts), -1)


def first_letters(temperature, times=4000):
    generator = seeded(5)
    said = [generate(leaning, ABC, generator, max_length=1, temperature=temperature) for _ in range(times)]
    return Counter(name[:1] or "." for name in said)


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1, 2, 10])
def test_letters_come_as_often_as_their_probability_to_the_power_of_one_over_the_temperature(temperature):
    shares = LEANING ** (1 / temperature)
    times, seen = 4000, first_letters(temperature)
    for letter, share in zip(ABC.characters, (shares / shares.sum()).tolist(), strict=True):
        assert abs(seen[letter] - share * times) <= 4 * math.sqrt(times * share * (1 - share))


def test_what_is_impossible_stays_impossible_at_any_temperature():
    assert "c" not in first_letters(1e6)


@pytest.mark.parametrize("temperature", [1e-3, 1e-300, 5e-324])
def test_a_tiny_temperature_takes_the_likeliest(temperature):
    assert first_letters(temperature, 50) == {"a": 50}


def test_temperature_0_takes_the_likeliest_the_first_among_equals_and_draws_nothing():
    assert generate(leaning, ABC, None, max_length=3, temperature=0) == "aaa…"
    equal = torch.tensor([0.2, 0.2, 0.3, 0.3]).log()
    generator = seeded(1)
    before = generator.get_state()
    assert generate(lambda contexts: equal[None], ABC, generator, max_length=2, temperature=0) == "bb…"
    assert before.equal(generator.get_state())


def test_temperature_1_draws_what_was_drawn_without_one():
    generators = seeded(2147483647), seeded(2147483647)
    uneven = torch.rand(50, 27, generator=seeded(2)).log_softmax(1)

    def model(contexts):
        return uneven[[len(context) for context in contexts]]

    for _ in range(20):
        by_hand = ""
        while len(by_hand) < 16:
            character = LETTERS.characters[draw(model([by_hand])[0].double().exp(), generators[0])]
            if character == ".":
                break
            by_hand += character
        else:
            by_hand += "…"
        assert generate(model, LETTERS, generators[1], temperature=1.0) == by_hand


@pytest.mark.parametrize("temperature", [-0.5, math.nan, math.inf])
def test_a_temperature_that_is_none_is_refused(temperature):
    with pytest.raises(ValueError, match=f"0 or more, and finite; this one is {temperature}"):
        generate(leaning, ABC, seeded(0), temperature=temperature)


@pytest.mark.parametrize("temperature", [0, 0.5, 1])
@pytest.mark.parametrize("row", [[1.0, 2.0, 0.0, 0.0], [math.nan] * 4])
def test_logits_are_refused_at_every_temperature(temperature, row):
    with pytest.raises(ValueError, match="these are not"):
        generate(lambda contexts: torch.tensor([row]), ABC, seeded(0), temperature=temperature)


# Networks.


def network(context, vocabulary=LETTERS, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Embedding(vocabulary.size, 4),
        nn.Flatten(),
        nn.Linear(4 * context, 20),
        nn.BatchNorm1d(20),
        nn.Dropout(0.5),
        nn.Linear(20, vocabulary.size),
    )


@pytest.mark.parametrize("context", [1, 3, 8])
def test_a_network_on_the_ladder_costs_what_its_split_loss_says(context):
    names = ["emma", "", "olivia", "bartholomew"]
    net = network(context)
    found = evaluate(from_network(net, context, LETTERS), names)
    assert found == pytest.approx(split_loss(net, *examples(names, context, LETTERS)), abs=1e-6)


def test_a_network_sees_the_last_characters_padded_with_the_end_mark():
    seen = []

    def net(numbers):
        seen.extend(LETTERS.decode(row) for row in numbers)
        assert numbers.dtype == torch.int64
        return torch.zeros(len(numbers), 27)

    answers = from_network(net, 3, LETTERS)(["", "e", "emm", "olivia"])
    assert seen == ["...", "..e", "emm", "via"]
    assert (answers.shape, answers.dtype) == ((4, 27), torch.float64)
    torch.testing.assert_close(answers.exp().sum(1), torch.ones(4, dtype=torch.float64))


def test_a_network_is_asked_in_eval_mode_without_gradient_and_gets_its_mode_back():
    net = network(2).train()
    net[3].eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    model = from_network(net, 2, LETTERS)
    answers = model(["a", "b"])
    assert not answers.requires_grad
    assert answers.equal(model(["a", "b"]))  # dropout would differ
    assert [module.training for module in net] == [True, True, True, False, True, True]
    assert all(value.equal(before[name]) for name, value in net.state_dict().items())


def test_a_network_speaks():
    said = samples(from_network(network(3), 3, LETTERS))
    assert len(said) == 5
    assert all(set(name) <= set(LETTERS.characters + "…") for name in said)


def test_no_contexts_get_no_answers_and_a_context_of_0_is_allowed():
    assert from_network(network(3), 3, LETTERS)([]).shape == (0, 27)
    bias = torch.randn(27, generator=seeded(1))
    answers = from_network(lambda numbers: bias.expand(len(numbers), -1) + numbers.sum(), 0, LETTERS)(
        ["", "emma"]
    )
    torch.testing.assert_close(answers, bias.double().log_softmax(0).expand(2, -1))


def test_what_is_no_network_over_this_vocabulary_is_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 27\), and this one gave \(2, 4\)"):
        from_network(lambda numbers: torch.zeros(len(numbers), 4), 3, LETTERS)(["", "a"])
    with pytest.raises(ValueError, match="0 characters or more, and this one is -1"):
        from_network(network(3), -1, LETTERS)
    with pytest.raises(ValueError, match="end mark"):
        from_network(network(3), 3, Vocabulary(["abc"], end=None))
    with pytest.raises(ValueError, match="'Z' is not among"):
        from_network(network(3), 3, LETTERS)(["Zoe"])


# Tokens from logits.

LOGITS = torch.tensor([1.0, 3.0, -2.0, 3.0, 0.5, -math.inf])


def shares_of(temperature, top_k):
    """How often each should come, by the definition and in plain floats."""
    kept = sorted(LOGITS.tolist(), reverse=True)[: len(LOGITS) if top_k is None else top_k]
    powers = [math.exp(one / temperature) if one >= kept[-1] else 0.0 for one in LOGITS.tolist()]
    return [power / math.fsum(powers) for power in powers]


@pytest.mark.parametrize("temperature", [0.5, 1, 3])
@pytest.mark.parametrize("top_k", [None, 1, 2, 3, 4, 6, 100])
def test_tokens_come_as_often_as_temperature_and_top_k_say(temperature, top_k):
    generator, times = seeded(4), 2000
    seen = Counter(choose(LOGITS, generator, temperature, top_k) for _ in range(times))
    for token, share in enumerate(shares_of(temperature, top_k)):
        assert abs(seen[token] - share * times) <= 4 * math.sqrt(times * share * (1 - share))


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=20), st.integers(1, 25), st.integers(0, 2**32))
def test_a_token_below_the_k_likeliest_never_comes_and_those_equal_to_the_last_may(logits, top_k, seed):
    token = choose(torch.tensor(logits, dtype=torch.float64), seeded(seed), 1.0, top_k)
    assert sum(other > logits[token] for other in logits) < top_k


def test_all_that_equal_the_last_of_the_k_stay():
    generator = seeded(0)
    assert {choose(torch.tensor([2.0, 2.0, 1.0, 2.0]), generator, 1.0, 1) for _ in range(60)} == {0, 1, 3}


def test_a_k_of_the_vocabularys_size_or_above_draws_as_without_one():
    logits = torch.randn(9, generator=seeded(1))
    for seed in range(30):
        free = choose(logits, seeded(seed))
        assert [choose(logits, seeded(seed), 1.0, top_k) for top_k in (9, 10, 10**9)] == [free] * 3


def test_at_temperature_0_the_first_of_the_likeliest_is_taken_and_nothing_is_drawn():
    generator = seeded(1)
    before = generator.get_state()
    assert choose(LOGITS, generator, 0) == choose(LOGITS, None, 0, 2) == 1
    assert before.equal(generator.get_state())


def test_one_token_uses_one_random_number_and_the_logits_are_left_as_they_were():
    used, chosen, logits = seeded(3), seeded(3), LOGITS.clone().requires_grad_()
    torch.rand((), generator=used, dtype=torch.float64)
    assert type(choose(logits, chosen, 0.7, 2)) is int
    assert torch.equal(used.get_state(), chosen.get_state())
    assert torch.equal(logits, LOGITS)


def test_logits_of_any_size_and_type_are_drawn_from():
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        huge = torch.tensor([-1000.0, 1000.0, 500.0], dtype=dtype)
        assert choose(huge, seeded(0)) == choose(huge / 1e6 * 1e9, seeded(0), 1e-3) == 1
    shifted = [choose(LOGITS.double() + shift, seeded(8)) for shift in (0.0, 1000.0, -1000.0)]
    assert len(set(shifted)) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": -0.5}, "0 or more, and finite; this one is -0.5"),
        ({"temperature": math.nan}, "this one is nan"),
        ({"temperature": math.inf}, "this one is inf"),
        ({"top_k": 0}, "1 token or more to draw from, and it is 0"),
        ({"top_k": -3}, "and it is -3"),
    ],
)
def test_a_choice_that_cannot_be_made_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        choose(LOGITS, seeded(0), **options)


@pytest.mark.parametrize("temperature", [0, 0.5, 1])
@pytest.mark.parametrize("top_k", [None, 2])
@pytest.mark.parametrize("logits", [[0.0, math.nan], [-math.inf] * 3, [0.0, math.inf], []])
def test_logits_that_are_none_are_refused_at_every_temperature(logits, top_k, temperature):
    with pytest.raises(
        ValueError, match=r"row of logits|not probabilities|not log-probabilities|one row of prob"
    ):
        choose(torch.tensor(logits), seeded(0), temperature, top_k)


def test_a_batch_of_logits_is_refused_with_its_shape():
    with pytest.raises(ValueError, match=r"one row of logits, shape \(V,\), .* got \(1, 6\)"):
        choose(LOGITS[None], seeded(0))
