"""Mistakes of lesson 7 that are rules: what an answer gives on one problem may have several reasons, on all of them mostly one.

`name_of` finds the rule that gives what the answer gives, everywhere; below stand the rules of exercises 7.2, 7.4 and 7.5.
"""

import math
from collections.abc import Callable, Iterable

from torch import nn

from lessons_lib.exercises.engine import NotYet, call


def name_of(answer: Callable, problems: Iterable[tuple], rules: Iterable[tuple[Callable, str]]) -> str:
    """The name of the first rule that agrees with the answer on every problem; "" where none does, or the answer raises."""
    problems = list(problems)
    try:
        said = [call(answer, *problem) for problem in problems]
    except NotYet:
        return ""
    if not all(isinstance(one, int | float | list) for one in said):
        return ""
    return next((name for rule, name in rules if [rule(*problem) for problem in problems] == said), "")


# 7.2. Layers are told by what they keep; fan_in and fan_out are those of the nn.Linear in front.


def suspects(model: nn.Sequential, suspicious: Callable, give: Callable = lambda name, layer: name) -> list:
    """Of the layers with a running_mean those for which suspicious(running_mean, fan_in, fan_out) holds."""
    fan_in = fan_out = 0
    found = []
    for name, layer in model.named_children():
        if isinstance(layer, nn.Linear):
            fan_in, fan_out = layer.in_features, layer.out_features
        mean = getattr(layer, "running_mean", None)
        if mean is not None and suspicious(mean, fan_in, fan_out):
            found.append(give(name, layer))
    return found


def too_many(mean, fan_in, fan_out) -> bool:
    """What 7.2 asks for: more means than channels."""
    return mean.numel() > fan_out


OF_STATISTICS = (
    (
        lambda model: suspects(model, lambda mean, i, o: mean.dim() > 1),
        "It is not the number of axes: (1, 1, 5) holds one mean a channel, and (20,) behind nn.Linear(3, 5) four.",
    ),
    (
        lambda model: suspects(model, lambda mean, i, o: mean.numel() > mean.shape[-1]),
        "Flattened, four means a channel have one axis, too: (20,) behind nn.Linear(3, 5). Count the numbers.",
    ),
    (
        lambda model: suspects(model, lambda mean, i, o: len(mean) != o),
        "Only the first axis was looked at: in (1, 4, 5) the places stand in the second. Count the numbers.",
    ),
    (
        lambda model: suspects(model, lambda mean, i, o: mean.numel() != o),
        "Another number is not enough: a single mean for all units is fewer. More were asked for.",
    ),
    (
        lambda model: suspects(model, lambda mean, i, o: mean.numel() != i),
        "Compared with what the nn.Linear takes in; the norm stands behind it, and gets out_features.",
    ),
    (
        lambda model: suspects(model, lambda mean, i, o: mean.numel() > i),
        "Compared with what the nn.Linear takes in; the norm stands behind it, and gets out_features.",
    ),
    (
        lambda model: suspects(model, lambda mean, i, o: True),
        "Those are all layers with a running_mean; most of them are healthy.",
    ),
    (lambda model: suspects(model, lambda mean, i, o: mean.numel() == o), "Those are the healthy ones."),
    (
        lambda model: suspects(model, too_many, lambda name, layer: f"{name}.running_mean"),
        "Those name the buffers; the layers were asked for.",
    ),
    (
        lambda model: suspects(model, too_many, lambda name, layer: str(list(model).index(layer))),
        "Places are names only where nobody gave others: take those of named_children().",
    ),
    (lambda model: suspects(model, too_many)[::-1], "The order is that of the layers."),
    (lambda model: [], "No layer is suspicious to yours."),
)


# 7.4. The flat network, and what is mistaken for it.

WIDTHS = ((1, 1, 100), (3, 10, 12000), (8, 10, 22397), (8, 24, 76579), (5, 7, 3210), (8, 10, 16657))
TINY = (8, 10, 100)  # fewer than the table of embeddings has


def parameters_of_flat(context, embedding, hidden, table=True, first_bias=0, norm=2, last_bias=27) -> int:
    """How many numbers learn: table, first layer, BatchNorm, last layer."""
    return 27 * embedding * table + (context * embedding + first_bias + norm + 27) * hidden + last_bias


def width(context, embedding, target, whole=round, one_letter=False, **mistaken) -> int:
    """The width at which so many numbers learn, made whole by `whole`."""
    context = 1 if one_letter else context
    none, one = (parameters_of_flat(context, embedding, hidden, **mistaken) for hidden in (0, 1))
    return whole((target - none) / (one - none))


def rule_of_width(name: str, **mistaken) -> tuple[Callable, str]:
    return lambda *problem: width(*problem, **mistaken), name


NO_TABLE = "The table of embeddings is missing: 27 rows of it."
OF_WIDTH = (
    rule_of_width("Rounded down; where the fraction is above a half, one unit more comes nearer.", whole=int),
    rule_of_width("Rounded up; where the fraction is below a half, one unit fewer comes nearer.", whole=math.ceil),
    rule_of_width("You gave the first layer a bias; in front of BatchNorm it has none.", first_bias=1),
    rule_of_width("BatchNorm is missing: a gain and a bias for each unit.", norm=0),
    rule_of_width("BatchNorm has two numbers for each unit, a gain and a bias.", norm=1),
    rule_of_width(
        "You counted the running mean and variance; no gradient reaches them: they are buffers.", norm=4
    ),
    rule_of_width(NO_TABLE, table=False),
    rule_of_width("The bias of the last layer is missing.", last_bias=0),
    rule_of_width("Table and BatchNorm are both missing.", table=False, norm=0),
    rule_of_width("Two things: BatchNorm is missing, and the first layer has no bias.", first_bias=1, norm=0),
    rule_of_width(
        "The first layer reads all letters of the context at once: context times embedding inputs.",
        one_letter=True,
    ),
)  # fmt: skip


# 7.5. k is a kernel, d its dilation.

REACHES = (
    ([2], [1]),
    ([2], [3]),
    ([2, 2], [1, 2]),
    ([2, 2, 2], [1, 2, 4]),
    ([2, 2, 2], [1, 1, 1]),
    ([3, 3], [1, 3]),
    ([5, 2, 3], [1, 2, 4]),
    ([1, 4], [9, 2]),
    ([], []),
)


def pairs(kernels, dilations):
    return list(zip(kernels, dilations, strict=True))


def reach(kernels, dilations) -> int:
    """Letters that reach one output."""
    return 1 + sum((k - 1) * d for k, d in pairs(kernels, dilations))


REACHES_ADD = "The reaches add up; they are not multiplied."
OF_REACH = (
    (
        lambda ks, ds: sum((k - 1) * d for k, d in pairs(ks, ds)),
        "The place itself is missing: it sees its own letter, too.",
    ),
    (lambda ks, ds: 1 + sum(ds), "The kernels are ignored: a wider one reaches further back."),
    (lambda ks, ds: sum(ds), "The kernels are ignored, and the place itself is missing."),
    (lambda ks, ds: 1 + sum(k - 1 for k in ks), "The dilations are ignored: a step back may be a long one."),
    (
        lambda ks, ds: 1 + sum(k * d for k, d in pairs(ks, ds)),
        "A kernel of 2 reaches back 1 step, and not 2: kernel - 1.",
    ),
    (
        lambda ks, ds: sum(k * d for k, d in pairs(ks, ds)),
        "A kernel of 2 reaches back 1 step, and not 2: kernel - 1.",
    ),
    (
        lambda ks, ds: math.prod(ks),
        "The product of the kernels is right where the dilations make it so; in general the reaches add up.",
    ),
    (
        lambda ks, ds: 2 ** len(ks),
        "That is right for kernels of 2 whose dilations double; these are others.",
    ),
    (lambda ks, ds: math.prod(k * d for k, d in pairs(ks, ds)), REACHES_ADD),
    (lambda ks, ds: math.prod(1 + (k - 1) * d for k, d in pairs(ks, ds)), REACHES_ADD),
    (
        lambda ks, ds: 1 + max(((k - 1) * d for k, d in pairs(ks, ds)), default=0),
        "Not the widest layer alone: each reaches on from where the one below ended.",
    ),
    (
        lambda ks, ds: sum(1 + (k - 1) * d for k, d in pairs(ks, ds)),
        "The place itself is counted once for each layer; once is enough.",
    ),
)
