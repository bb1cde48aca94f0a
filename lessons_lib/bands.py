"""When to look twice: bands for what `diagnostics` measures, each with its source, and the sentences about what lies outside of them.

The bands mark what trained well in the lecture and in our own runs. They are no laws.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from lessons_lib.diagnostics import LayerStats, Report

ACTIVATION_STD = (0.4, 0.8)
"""Std of the outputs of a tanh layer. Stacked at gain 5/3, tanh layers settle at 0.65; with BatchNorm before them at 0.63 (lecture 4
of the series, and measured again in lesson 5). Below, the layer is nearly linear and its signal fades; above, it saturates."""

SATURATED_SHARE = 0.10
"""Largest share of saturated outputs of a tanh or sigmoid layer. The lecture's healthy stack comes down to 6% by its fifth layer,
and has 3% everywhere with BatchNorm. (Half the outputs of a ReLU are 0, which is its nature: there only dead units are judged.)"""

DEAD_SHARE = 0.05
"""Largest share of units that are saturated for every example of the batch. Our own choice: a healthy layer has none in a batch of some
hundreds, and one unlucky unit in a narrow layer need not alarm anyone."""

GRADIENT_FACTOR = 3.0
"""Largest ratio, either way, between the gradient's std at the first layer and at the last. The lecture's stack stays within 1.8 at gain
1, 1.4 at 5/3 and leaves the band at 0.5 (16 times smaller in front) and at 3 (3.4 times larger)."""

UPDATE_RATIO = (-3.5, -2.5)
"""log10 of std(update) / std(weights) in one step: about a thousandth, the lecture's rule of thumb. Below, learning crawls; above, the
weights are thrown about."""

SATURATED_AT = 0.97
"""A tanh output beyond +-0.97 counts as saturated, as in the lecture's histograms: the slope 1 - 0.97**2 lets less than 6% of the gradient
through. A sigmoid is a tanh of half the height: below 0.015 or above 0.985 its slope has the same share of its largest. The picture of
single outputs, `saturation`, is stricter, as in the lecture: beyond 0.99 less than 2% comes through."""


def is_saturated(output: Tensor, kind: str, limit: float = SATURATED_AT) -> Tensor | None:
    """Where an activation function is flat, bool of the output's shape: |tanh| > limit, the same share of slope for a sigmoid
    (|2 s - 1| > limit), an output of 0 for ReLU. None for other kinds: leaky ReLU, ELU and GELU always let something through.
    """
    if kind == "Tanh":
        return output.abs() > limit
    if kind == "Sigmoid":
        return (2 * output - 1).abs() > limit
    return output <= 0 if kind == "ReLU" else None


def compared(first: float, last: float) -> str:
    """The first size in terms of the last, both 0 or more: "18 times smaller", "10^34 times larger", "infinitely smaller", "as large"."""
    larger, smaller = max(first, last), min(first, last)
    way = "larger" if first > last else "smaller"
    if larger <= 1.05 * smaller or larger == 0:
        return "as large"
    if smaller == 0:
        return f"infinitely {way}"
    factor = larger / smaller
    return (
        f"{factor:.{1 if factor < 9.95 else 0}f} times {way}"
        if factor < 1000
        else f"10^{math.log10(factor):.0f} times {way}"
    )


def verdicts(report: "Report") -> list[str]:
    """A sentence for every band that the report misses, naming the layer that misses it most; an empty list where all is well.

    The bands are the constants of this module. Update ratios are judged where the report knows the learning rate.
    """
    layers, weights = report.layers, report.weights
    broken = [layer.label for layer in layers if not math.isfinite(layer.std)]
    tanh = {layer.label: layer.std for layer in layers if layer.kind == "Tanh"}
    full = {layer.label: layer.saturated for layer in layers if layer.kind in ("Tanh", "Sigmoid")}
    dead = {layer.label: layer.dead for layer in layers if layer.dead is not None}
    still = [weight.name for weight in weights if weight.gradient_std == 0]
    moves = {weight.name: math.log10(weight.update_ratio) for weight in weights if weight.update_ratio}
    return [
        *([f"Not every output is a finite number: {broken[0]} is the first to go wrong."] if broken else []),
        *_outside("Std of the outputs", tanh, *ACTIVATION_STD, "{:.2f}"),
        *_outside("Share of saturated outputs", full, 0, SATURATED_SHARE, "{:.0%}"),
        *_outside("Share of dead units", dead, 0, DEAD_SHARE, "{:.0%}"),
        *_far_apart([layer for layer in layers if layer.gradient_std is not None]),
        *([f"A gradient of std 0, which tells no weight from another: {', '.join(still)}."] if still else []),
        *_outside("log10 of update:data", moves, *UPDATE_RATIO, "{:.1f}"),
    ]


def _outside(what: str, values: dict[str, float], low: float, high: float, form: str) -> Iterator[str]:
    below = {name: value for name, value in values.items() if value < low}
    above = {name: value for name, value in values.items() if value > high}
    for side, limit, worst, missed in (("below", low, min, below), ("above", high, max, above)):
        if missed:
            name = worst(missed, key=missed.get)
            limit, value = form.format(limit), form.format(missed[name])
            yield f"{what} {side} {limit} in {len(missed)} of {len(values)}, furthest in {name}: {value}."


def _far_apart(layers: list["LayerStats"]) -> Iterator[str]:
    if len(layers) > 1:
        (first, a), (last, b) = ((layer.label, layer.gradient_std) for layer in (layers[0], layers[-1]))
        if max(a, b) > GRADIENT_FACTOR * min(a, b):
            limit = f"more than {GRADIENT_FACTOR:g} times apart"
            yield f"The gradient is {compared(a, b)} at {first} than at {last}, {limit}."
