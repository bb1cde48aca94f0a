"""Wrong answers to the exercises of lesson 7, each as a learner might write it, and what the check must say of it."""

import math
import statistics

import torch
from torch import nn

from lessons_lib import longer_ngrams
from lessons_lib.data import load_names, split
from lessons_lib.ladder import LETTERS, uniform
from lessons_lib.sampling import from_network


def grouped(x, count, check=True):
    B, T, C = x.shape
    if check and T % count:
        raise ValueError("left over")
    return x[:, : T - T % count].reshape(B, T // count, count, C)


def flat(x, count, how=lambda groups: groups, check=True):
    B, T, C = x.shape
    return how(grouped(x, count, check)).reshape(B, T // count, count * C)


def halves(x, count):
    grouped(x, count)
    return torch.cat(x.chunk(count, dim=1), dim=2)


def view_alone(x, count):
    B, T, C = x.shape
    return x.view(B, T // count, C * count)


def asserting(x, count):
    assert x.shape[1] % count == 0
    return flat(x, count)


def through_the_batch(x, count):
    B, T, C = x.shape
    grouped(x, count)
    return x.transpose(0, 1).reshape(B, T // count, count * C)


def suspects(model, suspicious, give=lambda name, layer: name):
    fan_in = fan_out = 0
    found = []
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            fan_in, fan_out = layer.in_features, layer.out_features
        mean = getattr(layer, "running_mean", None)
        if mean is not None and suspicious(mean, fan_in, fan_out):
            found.append(give(name, layer))
    return found


def right_suspicion(mean, fan_in, fan_out):
    return mean.numel() > fan_out


def falls_over(model):
    return [name for name, layer in model.named_children() if layer.running_mean.dim() > 1]


def scaled(x, axes, unbiased=False, eps=1e-5):
    return (x - x.mean(axes, keepdim=True)) / torch.sqrt(x.var(axes, unbiased=unbiased, keepdim=True) + eps)


def but_last(x):
    return tuple(range(x.dim() - 1))


def in_place(x):
    axes = but_last(x)
    x -= x.mean(axes)
    return x / torch.sqrt(x.var(axes, unbiased=False) + 1e-5)


def width(context, embedding, target, table=True, first_bias=0, norm=2, last_bias=27, to_int=round):
    fixed = 27 * embedding * table + last_bias
    return to_int((target - fixed) / (context * embedding + first_bias + norm + 27))


def reach(kernels, dilations, one=1, minus=1):
    return one + sum((k - minus) * d for k, d in zip(kernels, dilations, strict=True))


def earlier(x, dilation, beginning):
    length = x.shape[1]
    return x[:, beginning(torch.arange(length) - dilation, length)]


def zeros_before(x, dilation):
    return torch.cat([torch.zeros_like(x[:, :1]).expand(-1, dilation, -1), x], 1)[:, : x.shape[1]]


def short(x, dilation):
    return torch.cat([x[:, :1].expand(-1, dilation, -1), x[:, :-dilation]], 1)


def state(x, h, W_x, b_x, W_h, b_h, bend=torch.tanh, first=1, second=1, letter=1, memory=1):
    return bend(letter * (x @ W_x.T) + first * b_x + memory * (h @ W_h.T) + second * b_h)


def gru(
    x,
    h,
    W_x,
    b_x,
    W_h,
    b_h,
    order=(0, 1, 2),
    exchanged=False,
    reset="after",
    gate=torch.sigmoid,
    bend=torch.tanh,
    first=1,
    second=1,
    update=True,
):
    b_x, b_h = first * b_x, second * b_h
    read, keep = (x @ W_x.T + b_x).chunk(3, dim=1), (h @ W_h.T + b_h).chunk(3, dim=1)
    r, z, n = order
    R, Z = gate(read[r] + keep[r]), gate(read[z] + keep[z])
    if reset == "after":
        inside = read[n] + R * keep[n]
    elif reset == "before":
        inside = read[n] + (R * h) @ W_h.chunk(3)[n].T + b_h.chunk(3)[n]
    elif reset == "without bias":
        inside = read[n] + R * (h @ W_h.chunk(3)[n].T) + b_h.chunk(3)[n]
    elif reset == "all":
        inside = R * (read[n] + keep[n])
    elif reset == "letter":
        inside = R * read[n] + keep[n]
    else:
        inside = read[n] + keep[n]
    new = bend(inside)
    if not update:
        return new
    return Z * new + (1 - Z) * h if exchanged else Z * h + (1 - Z) * new


def left(wanted, rows, broken_is_done=False, key=lambda trial, seed: (trial, seed), order=None, once=True):
    done = {key(int(row["trial"]), int(row["seed"])) for row in rows if row["dev"] or broken_is_done}
    found = [pair for pair in wanted if key(*pair) not in done]
    found = list(dict.fromkeys(found)) if once else found
    return order(found) if order else found


def text_against_numbers(wanted, rows):
    done = {(row["trial"], row["seed"]) for row in rows if row["dev"]}
    return [pair for pair in dict.fromkeys(wanted) if pair not in done]


def the_last_row_counts(wanted, rows):
    dev = {(int(row["trial"]), int(row["seed"])): row["dev"] for row in rows}
    return [pair for pair in dict.fromkeys(wanted) if not dev.get(pair)]


def crosses_out(wanted, rows):
    for row in rows:
        pair = int(row["trial"]), int(row["seed"])
        while row["dev"] and pair in wanted:
            wanted.remove(pair)
    return list(dict.fromkeys(wanted))


def compared(first, second, times=2, spread=statistics.stdev, error=None, middle=statistics.fmean):
    def standard(a, b):
        return math.sqrt(spread(a) ** 2 / len(a) + spread(b) ** 2 / len(b))

    return abs(middle(first) - middle(second)) > times * (error or standard)(first, second)


def summed(a, b):
    return sum(statistics.stdev(x) / math.sqrt(len(x)) for x in (a, b))


def of_single_runs(a, b):
    return math.sqrt(statistics.variance(a) + statistics.variance(b))


def one_length(a, b):
    return math.sqrt((statistics.variance(a) + statistics.variance(b)) / len(a))


def one_way(first, second):
    return compared(first, second) and statistics.fmean(second) < statistics.fmean(first)


def tables(names=None, letters=3):
    return longer_ngrams.witten_bell(names or split(load_names()).train, letters, LETTERS)


def counting():
    return longer_ngrams.kneser_ney(split(load_names()).train, 5, LETTERS)


def has_seen_dev():
    names = split(load_names())
    return longer_ngrams.kneser_ney(names.train + 5 * names.dev, 5, LETTERS)


def changing(change):
    """A table of letters whose answers are changed on the way out."""
    table = tables(letters=2)
    return lambda texts: change(table(texts))


def with_noise(table, generator=None):
    generator = torch.Generator().manual_seed(0)
    return lambda texts: (table(texts) + torch.randn(27, generator=generator)).log_softmax(1)


def in_training_mode():
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Embedding(27, 4), nn.Flatten(), nn.Linear(12, 30), nn.BatchNorm1d(30), nn.Tanh(), nn.Linear(30, 27)
    )

    def model(texts):
        rows = [LETTERS.encode(("..." + text)[-3:]) for text in texts]
        network.train()
        return network(torch.tensor(rows)).log_softmax(1)

    return model


class Alone(nn.Module):
    """BatchNorm of the learner's own, still in training mode; it does not fall over where one example is alone."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.out = nn.Embedding(27, 8), nn.Linear(8, 27)

    def forward(self, texts):
        x = self.table(torch.tensor([LETTERS.encode("." + text)[-1] for text in texts]))
        x = (x - x.mean(0)) / torch.sqrt(x.var(0, unbiased=False) + 1e-5)
        return self.out(x).log_softmax(1)


def only_short_texts(texts):
    if max(map(len, texts)) > 11:
        raise ValueError("too long for me")
    return uniform(texts)


def unsure_of_long_texts(texts):
    return uniform(texts) + torch.tensor([[len(text) > 11] for text in texts])


def untrained():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Embedding(27, 4), nn.Flatten(), nn.Linear(32, 27))
    return from_network(network, 8, LETTERS)


WRONG = {
    "7.1": [
        (halves, "far apart"),
        (lambda x, count: flat(x, count, lambda groups: groups.flip(2)), "turned round"),
        (lambda x, count: flat(x, count, lambda groups: groups.transpose(2, 3)), "interleaved"),
        (through_the_batch, "different examples"),
        (lambda x, count: flat(x, count).squeeze(1), "its axis is gone"),
        (lambda x, count: flat(x, count, check=False), "dropped without a word"),
        (view_alone, "before torch stumbles"),
        (asserting, "say so with a ValueError."),
        (lambda x, count: x.flatten(1), "nn.Flatten"),
        (lambda x, count: grouped(x, count), "one above the other"),
        (lambda x, count: flat(x, count).float(), "float32"),
        (lambda x, count: x.unfold(1, count, 1).transpose(2, 3).flatten(2), "overlap"),
    ],
    "7.2": [
        (lambda model: suspects(model, lambda mean, i, o: mean.dim() > 1), "the number of axes"),
        (
            lambda model: suspects(
                model, lambda mean, i, o: mean.dim() > 1 and mean.numel() > mean.shape[-1]
            ),
            "Flattened, four means",
        ),
        (lambda model: suspects(model, lambda mean, i, o: mean.numel() != i), "out_features"),
        (lambda model: suspects(model, lambda mean, i, o: mean.numel() != o), "More were asked for"),
        (lambda model: suspects(model, lambda mean, i, o: True), "most of them are healthy"),
        (lambda model: suspects(model, lambda mean, i, o: mean.numel() == o), "the healthy ones"),
        (lambda model: suspects(model, right_suspicion, lambda name, layer: layer), "returned layers"),
        (
            lambda model: suspects(model, right_suspicion, lambda name, layer: list(model).index(layer)),
            "names are strings",
        ),
        (
            lambda model: suspects(model, right_suspicion, lambda name, layer: f"{name}.running_mean"),
            "the layers were asked for",
        ),
        (
            lambda model: suspects(model, right_suspicion, lambda name, layer: str(list(model).index(layer))),
            "was expected",
        ),
        (lambda model: suspects(model, right_suspicion)[::-1], "The order is that of the layers"),
        (falls_over, "has no attribute 'running_mean'"),
        (lambda model: {*suspects(model, right_suspicion)}, "a list of names"),
    ],
    "7.3": [
        (lambda x: scaled(x, 0), "over axis 0 alone"),
        (lambda x: scaled(x, -1), "LayerNorm"),
        (lambda x: scaled(x, tuple(range(x.dim()))), "each channel has its own"),
        (lambda x: scaled(x, but_last(x), unbiased=True), "n - 1"),
        (lambda x: scaled(x, 0, unbiased=True), "Two things"),
        (
            lambda x: (x - x.mean(but_last(x))) / (x.std(but_last(x), unbiased=False) + 1e-5),
            "eps is in the wrong place",
        ),
        (lambda x: scaled(x, but_last(x), eps=0), "eps is missing"),
        (lambda x: scaled(x, 1), "places of one example"),
        (lambda x: scaled(x, (0, 1)), "there are four"),
        (lambda x: x - x.mean(but_last(x)), "The mean is gone"),
        (lambda x: x / torch.sqrt(x.var(but_last(x), unbiased=False) + 1e-5), "not subtracted"),
        (lambda x: scaled(x.double(), but_last(x)), "float32 was expected"),
        (in_place, "changed its input"),
    ],
    "7.4": [
        (
            lambda context, embedding, target: width(context, embedding, target, first_bias=1),
            "in front of BatchNorm",
        ),
        (
            lambda context, embedding, target: width(context, embedding, target, norm=0),
            "BatchNorm is missing",
        ),
        (lambda context, embedding, target: width(context, embedding, target, norm=4), "buffers"),
        (
            lambda context, embedding, target: width(context, embedding, target, table=False),
            "table of embeddings",
        ),
        (
            lambda context, embedding, target: width(context, embedding, target, last_bias=0),
            "of the last layer",
        ),
        (lambda context, embedding, target: width(context, embedding, target, to_int=int), "Rounded down"),
        (
            lambda context, embedding, target: width(context, embedding, target, to_int=math.ceil),
            "Rounded up",
        ),
        (
            lambda context, embedding, target: width(context, embedding, target, to_int=float),
            "whole number of units",
        ),
        (lambda context, embedding, target: float(width(context, embedding, target)), "a width is an int"),
        (lambda context, embedding, target: width(1, embedding, target), "context times embedding"),
        (width, "at least one"),
        (lambda context, embedding, target: abs(width(context, embedding, target)), "at least one"),
        (lambda context, embedding, target: torch.tensor(width(context, embedding, target)), ".item()"),
    ],
    "7.5": [
        (lambda kernels, dilations: reach(kernels, dilations, one=0), "The place itself is missing"),
        (lambda kernels, dilations: 1 + sum(dilations), "kernels are ignored"),
        (lambda kernels, dilations: reach(kernels, [1] * len(kernels)), "dilations are ignored"),
        (lambda kernels, dilations: reach(kernels, dilations, minus=0), "kernel - 1"),
        (lambda kernels, dilations: reach(kernels, dilations, one=0, minus=0), "kernel - 1"),
        (lambda kernels, dilations: math.prod(kernels), "The product of the kernels"),
        (lambda kernels, dilations: 2 ** len(kernels), "whose dilations double"),
        (
            lambda kernels, dilations: math.prod(k * d for k, d in zip(kernels, dilations, strict=True)),
            "not multiplied",
        ),
        (
            lambda kernels, dilations: max(
                (reach([k], [d]) for k, d in zip(kernels, dilations, strict=True)), default=1
            ),
            "Not the widest layer alone",
        ),
        (lambda kernels, dilations: sum(dilations), "and the place itself is missing"),
        (
            lambda kernels, dilations: sum(1 + (k - 1) * d for k, d in zip(kernels, dilations, strict=True)),
            "once for each layer",
        ),
        (lambda kernels, dilations: [*range(reach(kernels, dilations))], "one number"),
    ],
    "7.6": [
        (lambda weight, count: weight.view(len(weight), -1, count), "in the wrong places"),
        (lambda weight, count: weight.view(len(weight), count, -1).transpose(1, 2).flip(2), "backwards"),
        (lambda weight, count: weight.view(len(weight), count, -1), "Letters and channels"),
        (
            lambda weight, count: weight.view(len(weight), count, -1).transpose(1, 2).transpose(0, 1),
            "Outputs and channels",
        ),
        (lambda weight, count: weight.T.reshape(len(weight), -1, count), "stay where they are"),
        (lambda weight, count: weight.unsqueeze(2), "shape"),
    ],
    "7.7": [
        (zeros_before, "Zeros stand before"),
        (lambda x, dilation: x.roll(dilation, 1), "(roll)"),
        (
            lambda x, dilation: earlier(x, -dilation, lambda places, T: places.clamp(max=T - 1)),
            "the future",
        ),
        (lambda x, dilation: x.roll(-dilation, 1), "the future"),
        (lambda x, dilation: earlier(x, 1, lambda places, T: places.clamp(min=0)), "The dilation is ignored"),
        (
            lambda x, dilation: earlier(
                x, dilation, lambda places, T: torch.where(places < 0, places + dilation, places)
            ),
            "got itself",
        ),
        (lambda x, dilation: earlier(x, dilation, lambda places, T: places.abs().clamp(max=T - 1)), "mirror"),
        (lambda x, dilation: x[:, :-dilation], "are missing"),
        (lambda x, dilation: torch.cat([x[:, :1].expand(-1, dilation, -1), x], 1), "longer"),
        (lambda x, dilation: x.roll(dilation, 0), "along axis 1"),
        (short, "larger than T here"),
        (lambda x, dilation: x, "Nothing was moved"),
    ],
    "7.8": [
        (lambda *given: state(*given, bend=lambda inside: inside), "The tanh is missing"),
        (lambda *given: state(*given, bend=torch.sigmoid), "A sigmoid stands"),
        (lambda *given: state(*given, bend=torch.relu), "A ReLU stands"),
        (lambda *given: state(*given, first=0, second=0), "Both biases"),
        (lambda *given: state(*given, first=0), "b_x is missing"),
        (lambda *given: state(*given, second=0), "b_h is missing"),
        (lambda *given: state(*given, memory=0), "old state is not in it"),
        (lambda *given: state(*given, letter=0), "letter is not in it"),
        (lambda *given: given[1] + state(*given), "added once more"),
        (lambda x, h, W_x, b_x, W_h, b_h: (x @ W_x + b_x + h @ W_h + b_h).tanh(), "cannot be multiplied"),
        (lambda x, h, W_x, b_x, W_h, b_h: state(x, h, W_x, b_x, W_h.T, b_h), "W_h is not transposed"),
        (lambda *given: state(*given).float(), "float64 was expected"),
        (lambda *given: (state(*given), state(*given)), "a tuple"),
    ],
    "7.9": [
        (lambda *given: gru(*given, order=(1, 0, 2)), "The two gates have changed places"),
        (lambda *given: gru(*given, exchanged=True), "update and 1 - update"),
        (lambda *given: gru(*given, order=(1, 0, 2), exchanged=True), "Two things"),
        (lambda *given: gru(*given, reset="before"), "and the paper's: reset"),
        (lambda *given: gru(*given, reset="before", exchanged=True), "with update the other way round"),
        (lambda *given: gru(*given, reset="without bias"), "the bias stands outside"),
        (lambda *given: gru(*given, reset="all"), "not what the letter says"),
        (lambda *given: gru(*given, reset="letter"), "it belongs to the memory"),
        (lambda *given: gru(*given, reset=None), "reset is not used"),
        (lambda *given: gru(*given, update=False), "update is not used"),
        (lambda *given: gru(*given, gate=torch.tanh), "The gates are a tanh"),
        (lambda *given: gru(*given, bend=torch.sigmoid), "The proposal is a sigmoid"),
        (lambda *given: gru(*given, first=0), "b_x is missing"),
        (lambda *given: gru(*given, second=0), "b_h is missing"),
        (
            lambda x, h, W_x, b_x, W_h, b_h: gru(
                x, h, W_x, b_x, torch.cat([third.T for third in W_h.chunk(3)]), b_h
            ),
            "The thirds of W_h are not transposed",
        ),
        (lambda *given: gru(*given, order=(1, 2, 0)), "another order"),
        (lambda *given: gru(*given, order=(0, 2, 1)), "another order"),
    ],
    "7.10": [
        (text_against_numbers, "is text"),
        (lambda wanted, rows: left(wanted, rows, broken_is_done=True), "broken off counts as done"),
        (lambda wanted, rows: left(wanted, rows, key=lambda trial, seed: trial), "The seeds are ignored"),
        (lambda wanted, rows: left(wanted, rows, key=lambda trial, seed: seed), "The trials are ignored"),
        (lambda wanted, rows: left(wanted, rows, order=sorted), "The order is lost"),
        (lambda wanted, rows: left(wanted, rows, once=False), "wanted twice"),
        (the_last_row_counts, "stays finished"),
        (
            lambda wanted, rows: [pair for pair in wanted if pair not in left(wanted, rows)],
            "the ones that are done",
        ),
        (lambda wanted, rows: {*left(wanted, rows)}, "a list was expected"),
        (lambda wanted, rows: [(str(t), str(s)) for t, s in left(wanted, rows)], "Those are texts"),
        (lambda wanted, rows: [trial for trial, _ in left(wanted, rows)], "trials alone"),
        (crosses_out, "changed its input"),
    ],
    "7.11": [
        (one_way, "one direction only"),
        (lambda first, second: one_way(second, first), "one direction only"),
        (lambda first, second: compared(first, second, times=1), "Once the standard error"),
        (
            lambda first, second: compared(first, second, error=of_single_runs),
            "the spread of single runs",
        ),
        (lambda first, second: compared(first, second, spread=statistics.pstdev), "divides by n;"),
        (lambda first, second: compared(first, second, error=summed), "their squares do"),
        (lambda first, second: compared(first, second, middle=min), "best runs"),
        (lambda first, second: compared(first, second, error=one_length), "its own n"),
        (lambda first, second: max(first) < min(second) or max(second) < min(first), "overlap"),
        (lambda first, second: not compared(first, second), "the other way round"),
        (lambda first, second: statistics.fmean(first) != statistics.fmean(second), "Any difference"),
        (lambda first, second: torch.tensor(compared(first, second)), "bool("),
        (lambda first, second: statistics.fmean(first) - statistics.fmean(second), "True or False"),
        (lambda first, second: True, "always says yes"),
    ],
    "7.12": [
        (counting, "to the last digit"),
        (tables, "be below both"),
        (lambda: uniform, "be below both"),
        (untrained, "be below both"),
        (has_seen_dev, "Has it been shown the dev names?"),
        (lambda: changing(torch.exp), "their logarithm was asked for"),
        (lambda: changing(lambda logs: logs + 1), "Is a log_softmax missing?"),
        (lambda: changing(lambda logs: logs[:, 1:]), "(6, 27) was expected"),
        (lambda: changing(lambda logs: logs.tolist()), "a tensor was expected"),
        (lambda: changing(lambda logs: logs * math.nan), "nan"),
        (lambda: with_noise(tables(letters=2)), "Is dropout still on?"),
        (in_training_mode, "Expected more than 1 value per channel"),
        (Alone, "Is BatchNorm still in training mode?"),
        (lambda: "a GRU", "a function from texts"),
        (lambda: only_short_texts, "raised ValueError: too long for me"),
        (lambda: unsure_of_long_texts, "On the names of dev or train"),
        (lambda: nn.Embedding(27, 27), "raised"),
    ],
}
