"""The checks of lesson 7. Each takes your function, tries it, and says why it matters; `CHECKS` at the end lists them.

Here stand those about shapes; lesson7_cells has the recurrent cells, lesson7_trials the search and the last, large one, and
lesson7_rules the mistakes that take several problems to be told apart.
"""

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from lessons_lib.exercises.engine import NotYet, call, expect_number, expect_tensor, show_call
from lessons_lib.exercises.lesson7_cells import gru_step, rnn_step
from lessons_lib.exercises.lesson7_rules import (
    OF_REACH,
    OF_STATISTICS,
    OF_WIDTH,
    REACHES,
    TINY,
    WIDTHS,
    name_of,
    reach,
    width,
)
from lessons_lib.exercises.lesson7_trials import missing, reader, worth_it
from lessons_lib.layers import BatchNorm, FlattenConsecutive


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers that depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def counting(*shape: int, dtype: torch.dtype = torch.int64) -> Tensor:
    """1, 2, 3 and so on, in this shape: each number says where it came from."""
    return torch.arange(1, math.prod(shape) + 1, dtype=dtype).view(shape)


def flatten_consecutive(answer):
    """7.1: flatten_consecutive(x, count), `count` neighbours side by side."""
    for x, count in (
        (counting(1, 4, 1), 2),
        (counting(1, 4, 2), 2),
        (counting(2, 4, 1), 2),
        (counting(2, 2, 2), 2),
        (normal(3, 6, 2, seed=1), 3),
        (normal(2, 8, 3, seed=2, dtype=torch.float32), 4),
        (normal(4, 3, 5, seed=3), 1),
    ):
        B, T, C = x.shape
        groups = x.reshape(B, T // count, count, C)
        wanted = groups.reshape(B, T // count, count * C)
        apart = x.reshape(B, count, T // count, C).transpose(1, 2).reshape(wanted.shape)
        mistakes = [
            (
                apart,
                "You paired letters that are far apart, the first with the one in the middle; neighbours belong together.",
            ),
            (
                groups.flip(2).reshape(wanted.shape),
                "The neighbours are turned round: the earlier letter stands first.",
            ),
            (
                groups.transpose(2, 3).reshape(wanted.shape),
                "The features are interleaved: all numbers of one letter come first, then all of the next.",
            ),
            (
                x.transpose(0, 1).reshape(wanted.shape),
                "Letters of different examples got mixed: the batch axis went through the reshaping.",
            ),
            (
                x.reshape(T // count, B, count * C).transpose(0, 1),
                "Letters of different examples got mixed: the batch axis went through the reshaping.",
            ),
            (
                wanted.squeeze(1),
                "One place is left, and its axis is gone. Keep it: who wants it away says so, with nn.Flatten.",
            ),
            (x.reshape(B, T * C), "That is nn.Flatten: all letters at once, and not so many at a time."),
            (
                x.unfold(1, count, 1).transpose(2, 3).reshape(B, -1, count * C),
                "Your groups overlap. Each letter belongs to one group alone.",
            ),
            (groups, "The neighbours stand one above the other: the last two axes have to become one."),
        ]
        expect_tensor(call(answer, x, count), wanted, show_call(answer, x, count), mistakes)
    for shape, count in (((1, 5, 1), 2), ((2, 1, 3), 2), ((3, 8, 2), 3)):
        refused(answer, counting(*shape), count)
    return "No number has moved, and nothing had to be learned for it: the tree is this and the matrices you know."


def refused(answer, x, count):
    """NotYet unless the function raises ValueError, as it should where letters are left over."""
    B, T, C = x.shape
    seen = show_call(answer, x, count)
    why = f"{T} letters cannot be taken {count} at a time"
    try:
        got = call(answer, x, count)
    except NotYet as told:
        if isinstance(told.__cause__, ValueError):
            return
        if told.__cause__ is None:
            raise
        cause = told.__cause__
        late = ", before torch stumbles over it" * isinstance(cause, RuntimeError)
        raise NotYet(
            f"{seen} raised {type(cause).__name__}. {why}: say so with a ValueError{late}."
        ) from None
    short = isinstance(got, Tensor) and got.shape == (B, T // count, count * C)
    dropped = " What was left over was dropped without a word." * short
    raise NotYet(f"{seen} should raise a ValueError: {why}.{dropped}")


class Norm(nn.Module):
    """For 7.2: a normalisation of which nothing matters but the shape of what it keeps."""

    def __init__(self, *shape: int):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(shape))
        self.register_buffer("running_var", torch.ones(shape))

    def extra_repr(self) -> str:
        return f"running_mean of shape {tuple(self.running_mean.shape)}"


def models_with_norms():
    """For 7.2: models, and the names that should be given."""
    yield nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh()), []
    yield nn.Sequential(nn.Linear(3, 5), Norm(1, 4, 5), nn.Tanh()), ["1"]
    yield nn.Sequential(nn.Linear(6, 5), Norm(1, 1, 5), nn.Tanh()), []
    yield nn.Sequential(nn.Linear(6, 5), Norm(4, 5), nn.Tanh()), ["1"]
    yield nn.Sequential(nn.Linear(3, 5), Norm(20), nn.Tanh()), ["1"]
    yield nn.Sequential(nn.Linear(3, 5), Norm(1), nn.Tanh()), []
    yield nn.Sequential(nn.Linear(20, 5), Norm(1, 4, 5), nn.Tanh()), ["1"]
    yield nn.Sequential(nn.Linear(5, 20), nn.BatchNorm1d(20), nn.LayerNorm(20)), []
    tree, fan_in = [nn.Embedding(27, 3)], 6
    for norm in (Norm(1, 4, 5), BatchNorm(5), Norm(1, 1, 5)):
        tree += [FlattenConsecutive(2), nn.Linear(fan_in, 5, bias=False), norm, nn.Tanh()]
        fan_in = 10
    yield nn.Sequential(*tree, nn.Flatten(), nn.Linear(5, 27)), ["3"]
    named = OrderedDict(
        letters=nn.Embedding(27, 4),
        second=nn.Linear(8, 4),
        keep=nn.Dropout(0.1),
        steady=Norm(4, 4),
        bend=nn.Tanh(),
        first=nn.Linear(8, 6),
        calm=Norm(12),
        level=nn.LayerNorm(6),
        out=nn.Linear(6, 27),
        end=nn.BatchNorm1d(27),
    )
    yield nn.Sequential(named), ["steady", "calm"]


def in_words(layer: nn.Module) -> str:
    """A layer as a message shows it: Linear(3, 5), Norm with a running_mean of shape (1, 4, 5), Tanh."""
    kind = type(layer).__name__
    if isinstance(layer, nn.Linear):
        return f"{kind}({layer.in_features}, {layer.out_features})"
    mean = getattr(layer, "running_mean", None)
    return kind if mean is None else f"{kind} with a running_mean of shape {tuple(mean.shape)}"


def suspicious(answer):
    """7.2: suspicious(model), the layers that keep a mean for each place."""
    problems = list(models_with_norms())
    for model, wanted in problems:
        lines = ", ".join(f"{name}: {in_words(layer)}" for name, layer in model.named_children())
        seen = f"{answer.__name__}(model), with the layers {lines},"
        try:
            got = call(answer, model)
        except NotYet as told:
            if told.__cause__ is None:
                raise
            # The call as `call` shows it would have the whole model in it.
            what = str(told).partition(" raised ")[2]
            raise NotYet(f"{seen} raised {what}") from None
        if not isinstance(got, list):
            raise NotYet(f"{seen} returned a {type(got).__name__}; a list of names was expected.")
        if got == wanted:
            continue
        if any(isinstance(one, nn.Module) for one in got):
            raise NotYet(
                f"{seen} returned layers; their names were asked for, as named_children() gives them."
            )
        if not all(isinstance(one, str) for one in got):
            raise NotYet(f"{seen} returned {got!r}; names are strings, as named_children() gives them.")
        name = name_of(answer, [(model,) for model, _ in problems], OF_STATISTICS)
        raise NotYet(f"{seen} returned {got!r}; {wanted!r} was expected. {name}".rstrip())
    return "The loss would not have told you: it was hardly worse. A shape told you, so print shapes first."


def normalise(answer):
    """7.3: normalise(x), over all axes but the last."""
    constant = normal(4, 3, 2, seed=5)
    constant[..., 0] = 0.7
    for x in (
        0.02 * normal(2, 2, 2, seed=1) + torch.tensor([[0.0], [0.04]], dtype=torch.float64),
        normal(3, 4, 5, seed=2) * 3 + torch.arange(4)[:, None],
        0.01 * normal(5, 2, 3, seed=3) + 1,
        constant,
        normal(2, 3, 4, 5, seed=6) * 2 - 1,
        normal(6, 3, seed=4),
        normal(16, 4, 6, seed=7, dtype=torch.float32) + torch.arange(4)[:, None],
    ):
        axes = tuple(range(x.dim() - 1))

        def scaled(axes, x=x, unbiased=False):
            variance = x.var(axes, unbiased=unbiased, keepdim=True)
            return (x - x.mean(axes, keepdim=True)) / torch.sqrt(variance + 1e-5)

        wanted = scaled(axes)
        mean, variance = x.mean(axes), x.var(axes, unbiased=False)
        mistakes = [
            (
                scaled(0),
                "Your mean is over axis 0 alone, so that each place has its own: the bug that this lesson made on purpose.",
            ),
            (
                scaled(-1),
                "Your mean is over the last axis, the numbers of one place: the wrong one for this layer (it is LayerNorm).",
            ),
            (scaled((*axes, x.dim() - 1)), "One mean for everything; each channel has its own."),
            (scaled(axes, unbiased=True), "Your variance divides by n - 1; here it is n."),
            (scaled(0, unbiased=True), "Two things: a mean over axis 0 alone, and a variance with n - 1."),
            (
                (x - mean) / (variance.sqrt() + 1e-5),
                "eps is in the wrong place: it is added under the root.",
            ),
            ((x - mean) / variance.sqrt(), "eps is missing."),
            ((x - mean) / (variance + 1e-5), "Divided by the variance; it should be by its root."),
            (x / torch.sqrt(variance + 1e-5), "The mean is not subtracted."),
            (x - mean, "The mean is gone; the spread is still what it was."),
        ]
        if x.dim() > 2:
            mistakes.append(
                (scaled(1), "Your mean is over the places of one example; all examples belong to it.")
            )
        if x.dim() > 3:
            mistakes.append(
                (
                    scaled((0, 1)),
                    "That is right for three axes, and there are four: all but the last belong to the mean.",
                )
            )
        got = call(answer, x)
        seen = f"{answer.__name__}(x of shape {tuple(x.shape)})"
        if isinstance(got, Tensor) and got.isnan().any():
            raise NotYet(
                f"{seen} returned nan: a channel that is the same everywhere has variance 0. That is what eps is for."
            )
        tolerance = 1e-4 if x.dtype == torch.float32 else 1e-7
        expect_tensor(got, wanted, seen, mistakes, tolerance)
    return "Every place of every example now stands behind each mean: with four places, four times as many numbers."


def matched_width(answer):
    """7.4: matched_width(context, embedding, target), the width of a flat network of about that size."""
    for problem in WIDTHS:
        seen, got = show_call(answer, *problem), call(answer, *problem)
        if isinstance(got, float) and got % 1:
            raise NotYet(
                f"{seen} returned {got:.6g}. A layer has a whole number of units: the nearest to your result."
            )
        try:
            expect_number(got, width(*problem), seen, tolerance=0.0)
        except NotYet as told:
            raise NotYet(f"{told} {name_of(answer, WIDTHS, OF_WIDTH)}".rstrip()) from None
        if not isinstance(got, int):
            raise NotYet(
                f"{seen} returned {got!r}, a {type(got).__name__}. The number is right; a width is an int."
            )
    seen, got = show_call(answer, *TINY), call(answer, *TINY)
    if got != 1:
        raise NotYet(
            f"{seen} returned {got!r}. For so few parameters no unit is left; a layer has at least one."
        )
    return "Now the comparison is one of shapes: whatever the tree wins by, it is not the number of its parameters."


def receptive_field(answer):
    """7.5: receptive_field(kernels, dilations), how many letters reach one output."""
    for kernels, dilations in REACHES:
        wanted = reach(kernels, dilations)
        got = call(answer, kernels, dilations)
        try:
            expect_number(got, wanted, show_call(answer, kernels, dilations))
        except NotYet as told:
            raise NotYet(f"{told} {name_of(answer, REACHES, OF_REACH)}".rstrip()) from None
    return (
        "Where dilations double, each layer more doubles what is seen: the long memory of WaveNet in one sum."
    )


def conv_weight(answer):
    """7.6: conv_weight(weight, count), the same matrix as nn.Conv1d keeps it."""
    for out, count, C, dtype in (
        (2, 2, 3, torch.float64),
        (1, 2, 2, torch.float64),
        (3, 2, 1, torch.float64),
        (5, 3, 4, torch.float32),
        (4, 4, 6, torch.float64),
    ):
        small = out * count * C <= 12
        weight = (
            counting(out, count * C, dtype=dtype) if small else normal(out, count * C, seed=out, dtype=dtype)
        )
        by_place = weight.view(out, count, C)
        wanted = by_place.transpose(1, 2).contiguous()
        mistakes = [
            (
                weight.view(out, C, count),
                "The shape is right and the numbers are in the wrong places: a row holds all channels of the first letter, then all "
                "of the next. Take the row apart as it is, and then turn it.",
            ),
            (wanted.flip(2), "The time runs backwards: nn.Conv1d does not turn its kernel round, so the earlier letter comes first."),
            (by_place, "Letters and channels stand in the wrong order: nn.Conv1d keeps (out, channels, letters)."),
            (wanted.transpose(0, 1), "Outputs and channels are swapped: the outputs come first, as in nn.Linear."),
            (weight.T.reshape(out, C, count), "The transpose took the outputs along; they stay where they are."),
        ]  # fmt: skip
        expect_tensor(call(answer, weight, count), wanted, show_call(answer, weight, count), mistakes)
    return "One matrix under two names: whatever the tree has learned, the convolution knows without a step of training."


def before(answer):
    """7.7: before(x, dilation), what stands `dilation` places earlier."""
    for x, dilation in (
        (counting(1, 4, 1), 1),
        (counting(1, 4, 1), 2),
        (counting(2, 3, 2), 1),
        (normal(2, 7, 3, seed=1), 4),
        (normal(3, 4, 2, seed=2, dtype=torch.float32), 4),
        (normal(2, 3, 2, seed=3), 5),
        (normal(2, 1, 4, seed=4), 1),
    ):
        T = x.shape[1]
        places = torch.arange(T)
        there = (places >= dilation)[:, None]
        wanted = x[:, (places - dilation).clamp(min=0)]
        mistakes = [
            (
                wanted * there,
                "Zeros stand before the name. What precedes silence is silence: repeat the first place.",
            ),
            (
                x.roll(dilation, 1),
                "The end of the name came round to its beginning (roll), so the first letters see what is yet to come.",
            ),
            (
                x[:, (places + dilation).clamp(max=T - 1)],
                "That is the future: each place got the one after it.",
            ),
            (x.roll(-dilation, 1), "That is the future: each place got the one after it."),
            (
                x[:, (places - 1).clamp(min=0)],
                "The dilation is ignored: yours is the place directly before.",
            ),
            (
                torch.where(there, wanted, x),
                "A place that reaches back too far got itself; all of these get the first.",
            ),
            (
                x[:, (places - dilation).abs().clamp(max=T - 1)],
                "The beginning is a mirror in yours; the first place is repeated instead.",
            ),
            (
                x[:, : max(T - dilation, 0)],
                "The places with nothing before them are missing; the first stands in for it.",
            ),
            (
                torch.cat([x[:, :1].expand(-1, dilation, -1), x[:, :-dilation]], 1),
                "The dilation is larger than T here, and so many first places are too many: T are wanted, whatever the dilation.",
            ),
            (
                torch.cat([x[:, :1].expand(-1, dilation, -1), x], 1),
                "It has become longer: the last places are to be cut off.",
            ),
            (x, "Nothing was moved along axis 1, where time runs."),
            (x.roll(dilation, 0), "The examples were moved; time runs along axis 1."),
        ]
        expect_tensor(call(answer, x, dilation), wanted, show_call(answer, x, dilation), mistakes)
    return "So a name begins for the convolution as it does for the tree, in silence, and zeros are a letter nobody wrote."


CHECKS = {
    "7.1": flatten_consecutive,
    "7.2": suspicious,
    "7.3": normalise,
    "7.4": matched_width,
    "7.5": receptive_field,
    "7.6": conv_weight,
    "7.7": before,
    "7.8": rnn_step,
    "7.9": gru_step,
    "7.10": missing,
    "7.11": worth_it,
    "7.12": reader,
}
