"""The checks of lesson 7 take every right answer, however it is written, and know what is right by another way than the answer's."""

import math
import statistics

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib import longer_ngrams
from lessons_lib.data import load_names, split
from lessons_lib.exercises import judge, lesson7, lesson7_rules, lesson7_trials
from lessons_lib.ladder import LETTERS, evaluate
from lessons_lib.layers import BatchNorm
from lessons_lib.reading import from_reader
from lessons_lib.recurrent import GRUCell, Recurrent

FLAT = (8, 10, 200)  # context, embedding, hidden: 22,097 numbers with the lecture's


# Right answers, written in other ways than the lesson's.


def every_second(x, count):
    if x.shape[1] % count:
        raise ValueError(f"{x.shape[1]} is no multiple of {count}")
    return torch.cat([x[:, start::count] for start in range(count)], dim=-1)


def group_by_group(x, count):
    groups = x.split(count, dim=1)
    if groups[-1].shape[1] != count:
        raise ValueError("letters are left over")
    return torch.stack([group.flatten(1) for group in groups], dim=1)


def by_their_buffers(model):
    width, found = {}, []
    for name, layer in model.named_children():
        if hasattr(layer, "out_features"):
            width["now"] = layer.out_features
        for buffer, numbers in layer.named_buffers():
            if buffer == "running_var" and numbers.numel() > width["now"]:
                found.append(name)
    return found


def by_torch(x):
    norm = nn.BatchNorm1d(x.shape[-1], affine=False, dtype=x.dtype)
    return norm(x.flatten(0, -2)).view(x.shape)


def channel_by_channel(x):
    out = torch.empty_like(x)
    for channel in range(x.shape[-1]):
        one = x[..., channel]
        out[..., channel] = (one - one.mean()) * (one.var(correction=0) + 1e-5) ** -0.5
    return out


def by_trying(context, embedding, target):
    def numbers(hidden):
        parts = (
            nn.Embedding(27, embedding),
            nn.Linear(context * embedding, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.Linear(hidden, 27),
        )
        return sum(parameter.numel() for part in parts for parameter in part.parameters())

    first = max(1, (target - 27 * (embedding + 1)) // (context * embedding + 29) - 2)
    return min(range(first, first + 6), key=lambda hidden: abs(numbers(hidden) - target))


def by_walking_back(kernels, dilations):
    reached = {0}
    for kernel, dilation in zip(kernels[::-1], dilations[::-1], strict=True):
        reached = {place - step * dilation for place in reached for step in range(kernel)}
    return 1 - min(reached)


def by_the_gradient(kernels, dilations):
    x = torch.zeros(1, 1, 64, dtype=torch.float64, requires_grad=True)
    y = x
    for kernel, dilation in zip(kernels, dilations, strict=True):
        weight = torch.ones(1, 1, kernel, dtype=torch.float64)
        y = F.conv1d(F.pad(y, ((kernel - 1) * dilation, 0)), weight, dilation=dilation)
    y[0, 0, -1].backward()
    reached = x.grad.flatten().nonzero()
    return 64 - int(reached.min())


def by_pieces(weight, count):
    return torch.stack(weight.chunk(count, dim=1), dim=2)


def by_einsum(weight, count):
    return torch.einsum("otc->oct", weight.unflatten(1, (count, -1)))


def by_padding(x, dilation):
    return F.pad(x.mT.double(), (dilation, 0), mode="replicate").mT[:, : x.shape[1]].to(x.dtype)


def by_a_loop(x, dilation):
    return torch.stack([x[:, max(place - dilation, 0)] for place in range(x.shape[1])], dim=1)


def torchs(kind):
    def step(x, h, W_x, b_x, W_h, b_h):
        cell = kind(x.shape[1], h.shape[1], dtype=x.dtype)
        cell.load_state_dict({"weight_ih": W_x, "weight_hh": W_h, "bias_ih": b_x, "bias_hh": b_h})
        return cell(x, h)  # which requires a gradient

    return step


def towards_the_new(x, h, W_x, b_x, W_h, b_h):
    size = h.shape[1]
    read, keep = F.linear(x, W_x, b_x), F.linear(h, W_h, b_h)
    reset, update = (read + keep)[:, : 2 * size].sigmoid().split(size, dim=1)
    new = torch.tanh(read[:, 2 * size :] + keep[:, 2 * size :] * reset)
    return torch.lerp(new, h, update)


def one_by_one(wanted, rows):
    todo = []
    for trial, seed in wanted:
        done = any((row["trial"], row["seed"]) == (f"{trial}", f"{seed}") and row["dev"] for row in rows)
        if not done and (trial, seed) not in todo:
            todo.append((trial, seed))
    return todo


def as_lists(wanted, rows):
    return [list(pair) for pair in one_by_one(wanted, rows)]


def by_numpy(first, second):
    a, b = np.array(first), np.array(second)
    return abs(a.mean() - b.mean()) > 2 * np.sqrt(a.var(ddof=1) / a.size + b.var(ddof=1) / b.size)


def by_squares(first, second):
    (a, b), (s, t) = map(statistics.mean, (first, second)), map(statistics.variance, (first, second))
    return (a - b) ** 2 > 4 * (s / len(first) + t / len(second))


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("7.1", every_second),
        ("7.1", group_by_group),
        ("7.2", by_their_buffers),
        ("7.3", by_torch),
        ("7.3", channel_by_channel),
        ("7.3", lambda x: BatchNorm(x.shape[-1]).to(x.dtype)(x).detach()),
        ("7.4", by_trying),
        ("7.5", by_walking_back),
        ("7.5", by_the_gradient),
        ("7.6", by_pieces),
        ("7.6", by_einsum),
        ("7.7", by_padding),
        ("7.7", by_a_loop),
        ("7.8", torchs(nn.RNNCell)),
        ("7.9", torchs(nn.GRUCell)),
        ("7.9", towards_the_new),
        ("7.10", one_by_one),
        ("7.10", as_lists),
        ("7.11", by_numpy),
        ("7.11", by_squares),
    ],
)
def test_a_right_answer_passes_however_it_is_written(number, answer):
    verdict = judge(number, answer)
    assert verdict.status == "right", verdict.message


# What the checks hold to be right.


def test_the_weight_that_is_wanted_makes_the_convolution_say_what_the_matrix_says():
    verdict = judge("7.6", by_pieces)
    assert verdict.status == "right"
    generator = torch.Generator().manual_seed(0)
    weight, x = torch.randn(5, 12, generator=generator), torch.randn(2, 9, 4, generator=generator)
    along = F.conv1d(x.mT, by_pieces(weight, 3), dilation=2).mT
    windows = torch.cat([x[:, :-4], x[:, 2:-2], x[:, 4:]], dim=2)
    torch.testing.assert_close(along, windows @ weight.T)


def test_the_flat_network_of_the_lecture_has_as_many_numbers_as_the_lecture_says():
    assert lesson7_rules.parameters_of_flat(*FLAT) == 22_097
    assert lesson7_rules.parameters_of_flat(8, 24, 344) == 76_699


def test_every_mistaken_rule_is_found_out():
    """Every mistaken rule is wrong about one problem or more: otherwise the check would call it right."""
    models = [(model,) for model, _ in lesson7.models_with_norms()]

    def right_names(model):
        return lesson7_rules.suspects(model, lesson7_rules.too_many)

    for rules, right, problems in (
        (lesson7_rules.OF_STATISTICS, right_names, models),
        (lesson7_rules.OF_WIDTH, lesson7_rules.width, lesson7_rules.WIDTHS),
        (lesson7_rules.OF_REACH, lesson7_rules.reach, lesson7_rules.REACHES),
        (lesson7_trials.rules(), lesson7_trials.is_worth_it, lesson7_trials.LOSSES),
    ):
        wanted = [right(*problem) for problem in problems]
        for rule, name in rules:
            assert [rule(*problem) for problem in problems] != wanted, name


def test_no_comparison_is_close_to_its_limit():
    """Rounding, or another way to write the same rule, must not decide."""
    for first, second in lesson7_trials.LOSSES:
        apart = abs(statistics.fmean(first) - statistics.fmean(second))
        limit = 2 * math.sqrt(sum(statistics.variance(x) / len(x) for x in (first, second)))
        assert apart == limit == 0 or abs(apart / limit - 1) > 0.05


def test_a_model_whose_layers_fall_over_is_not_shown_whole():
    def careless(model):
        return [name for name, layer in model.named_children() if layer.running_mean.numel() > 5]

    verdict = judge("7.2", careless)
    assert verdict.status == "not yet right"
    assert "careless(model), with the layers 0: Linear(3, 5), 1:" in verdict.message
    assert "AttributeError" in verdict.message
    assert "Sequential(" not in verdict.message


def test_gradients_that_come_along_are_no_fault():
    def normalise(x):
        norm = BatchNorm(x.shape[-1]).to(x.dtype)
        return norm(x)

    assert normalise(torch.ones(2, 2)).requires_grad
    assert judge("7.3", normalise).status == "right"


# Exercise 7.12, without training anything.


@pytest.fixture
def weak_opponents(monkeypatch):
    """(tree, best reader, counting) that a table of three letters beats."""
    monkeypatch.setattr(lesson7_trials, "opponents", lambda: (2.40, 2.30, 2.35))


@pytest.fixture(scope="module")
def table():
    return longer_ngrams.witten_bell(split(load_names()).train, 3, LETTERS)


def test_a_reader_below_both_is_right_and_told_where_it_stands(weak_opponents, table):
    status, message = judge("7.12", lambda: table)
    assert status == "right"
    dev = evaluate(table, split(load_names()).dev)
    assert f"{dev:.4f} on dev: below the tree (2.4000) and, at last, below the counts (2.3500)" in message
    assert "The best mean of this lesson's readers is 2.3000" in message


def test_a_reader_below_all_of_the_lessons_is_told_so(monkeypatch, table):
    monkeypatch.setattr(lesson7_trials, "opponents", lambda: (2.40, 2.39, 2.41))
    assert (
        "Below the best mean of this lesson's readers, 2.3900, too." in judge("7.12", lambda: table).message
    )


def test_a_reader_between_tree_and_counts_is_not_there_yet(monkeypatch, table):
    monkeypatch.setattr(lesson7_trials, "opponents", lambda: (2.40, 2.20, 2.21))
    status, message = judge("7.12", lambda: table)
    assert status == "not yet right"
    assert "The tree is beaten, the counts are not." in message


def test_a_network_that_reads_names_whole_may_be_handed_in(monkeypatch):
    torch.manual_seed(0)
    network = Recurrent(GRUCell(4, 6), 27, 4, dropout=0.5)  # in training mode: from_reader sees to it
    monkeypatch.setattr(lesson7_trials, "opponents", lambda: (9.0, 8.0, 9.5))
    status, message = judge("7.12", lambda: from_reader(network, LETTERS))
    assert status == "right", message


def test_the_opponents_are_those_of_the_file_and_of_the_count():
    tree, best, counting = lesson7_trials.opponents()
    assert best <= tree < 2.26
    names = split(load_names())
    table = longer_ngrams.kneser_ney(names.train, 5, LETTERS)
    assert counting == pytest.approx(evaluate(table, names.dev), abs=1e-9)


def test_all_twelve_are_listed():
    assert list(lesson7.CHECKS) == [f"7.{place}" for place in range(1, 13)]
