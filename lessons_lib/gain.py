"""The gain slider of lesson 5: a network before its first step, and what the scale of its weights does to every layer.

`slider` puts controls before four linked pictures, `panel`, of what `Network.compute` finds; `strip` shows some of it on paper.
"""

import math
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from torch import Tensor

from lessons_lib.bands import SATURATED_SHARE, UPDATE_RATIO, compared
from lessons_lib.figures import BLUE, GREEN, INK, ORANGE, depth_colours, new_figure
from lessons_lib.gain_network import ACTIVATIONS, OUTPUTS, SIZES, Network, Numbers
from lessons_lib.sliders import Choice, Panel, Slider, Steps, Toggle

__all__ = ["GAINS", "Network", "Numbers", "describe", "panel", "slider", "strip"]

NAMED = {"√2": math.sqrt(2), "5/3": 5 / 3}  # those of GAINS that no decimals spell
GAINS = [0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 1.0, 1.1, 1.25, math.sqrt(2), 1.5, 5 / 3, 2.0, 2.5, 3.0, 4.0, 5.0]
DEPTHS, RATES = (2, 3, 5, 10, 20, 50), (0.001, 0.01, 0.1, 1.0)
RATIOS = (-7.0, 1.0)  # the axis of log10 ratios; what lies beyond it is drawn at its end


def controls() -> list[Steps]:
    """Gain, activation, depth, BatchNorm and learning rate, at the lecture's first setting: five tanh layers at gain 1."""
    return [
        Steps("gain", GAINS, 1.0, [_gain(gain) for gain in GAINS]),
        Choice("activation", list(ACTIVATIONS)),
        Steps("depth", DEPTHS, 5),
        Toggle("BatchNorm"),
        Steps("rate", RATES, 0.1),
    ]


def slider(X: Tensor, Y: Tensor, **network: Any) -> Slider:
    """The slider: five controls, four pictures, a sentence. X, Y and the keywords: as for `Network`."""
    return Slider(controls(), Network(X, Y, **network).compute, panel(), describe)


def _gain(gain: float) -> str:
    names = (name for name, value in NAMED.items() if math.isclose(value, gain))
    return next(names, f"{gain:.3g}")


def describe(values: dict[str, Any], numbers: Numbers) -> str:
    """One sentence with the key numbers: the picture's caption, and what a reader hears who cannot see it."""
    n, norm = numbers, "with" if values["BatchNorm"] else "without"
    flat = f"{_flat_word(n)} {n.flat[0]:.0%} and {n.flat[-1]:.0%}, " if _flat_word(n) else ""
    off = f"; {n.beyond:.1%} of what is counted lies off the axes" if n.beyond >= 0.0005 else ""
    return (
        f"{values['depth']} layers of {values['activation']} at gain {_gain(values['gain'])} {norm} BatchNorm, first and last: "
        f"std {n.std[0]:.2g} and {n.std[-1]:.2g}, {flat}std of gradients {n.gradient_std[0]:.1e} and {n.gradient_std[-1]:.1e}, "
        f"update:data {_power(n.update[0])} and {_power(n.update[-1])} at rate {values['rate']:g}{off}."
    )


def _flat_word(numbers: Numbers) -> str:
    return {"tanh": "saturated", "relu": "zero"}.get(numbers.activation, "")


def _power(exponent: float) -> str:
    return f"10^{exponent:.1f}" if math.isfinite(exponent) else "0"


def _titles(n: Numbers) -> list[str]:
    flat = f"{n.flat[0]:.0%} {_flat_word(n)} in the first layer, {n.flat[-1]:.0%} in the last"
    update = float(np.median(n.update))
    return [
        f"Outputs: std from {n.std[0]:.2g} to {n.std[-1]:.2g}",
        f"Gradients: first layer {compared(n.gradient_std[0], n.gradient_std[-1])}",
        flat if _flat_word(n) else f"{n.activation}: no flat end to saturate at",
        f"Updates: log10 about {update:.1f}, target -3" if math.isfinite(update) else "No updates at all",
    ]


def panel() -> Panel:
    """Four linked pictures of `Numbers`: outputs, gradients, flat outputs and ratios, the layers from dark (first) to light (last)."""
    figure, axes = new_figure(9.6, 6.4, nrows=2, ncols=2)
    figure.set_dpi(84)  # three quarters of the pixels are drawn and compressed in three quarters of the time
    (outputs, gradients), (flat, ratios) = axes
    outputs.set(xlim=(-2, 2), ylim=(0, 0.2), xlabel="output of a layer", ylabel="share in each bin")
    gradients.set(xlim=(-10, 0), ylim=(0, 0.2), xlabel="log10 of the gradient's size at the output")
    outputs.set_xticks(range(-2, 3))
    for ax in (outputs, gradients):
        ax.set_yticks([0, 0.1, 0.2])
    lines = [ax.add_collection(LineCollection([], linewidths=1.4)) for ax in (outputs, gradients)]
    flat.axhline(SATURATED_SHARE, color=INK, linewidth=1, linestyle="--", zorder=3)
    flat.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="layer, first to last", ylabel="share of outputs (tanh: 10% at most)"
    )
    bars = flat.add_collection(PolyCollection([], linewidths=0, antialiaseds=False))
    ratios.axhspan(*UPDATE_RATIO, color=GREEN, alpha=0.13, linewidth=0, zorder=0.9)
    ratios.axhline(-3, color=INK, linewidth=1, linestyle="--", zorder=0.9)
    ratios.set(
        xlim=(0, 1), ylim=RATIOS, xlabel="layer, first to last", ylabel="log10 of a ratio to the weights"
    )
    (ratio,) = ratios.plot([], [], "o", color=BLUE, markersize=4, label="gradient", clip_on=False)
    (update,) = ratios.plot([], [], "s", color=ORANGE, markersize=4, label="update", clip_on=False)
    ratios.legend(loc="lower right", ncols=2).set_zorder(0.9)  # under what changes, so drawn once
    for ax in (flat, ratios):
        ax.set_xticks([])
    titles = [ax.set_title(" ") for ax in axes.flat]
    for artist in (*lines, bars, ratio, update):
        artist.set_in_layout(False)  # empty as yet: there is nothing to make room for

    def apply(n: Numbers) -> None:
        depth = len(n.std)
        for collection, edges, rows in zip(lines, (OUTPUTS, SIZES), (n.outputs, n.gradients), strict=True):
            _draw(collection, edges, rows)
        left = np.arange(depth) / depth
        right = left + (0.9 if depth <= 10 else 1) / depth
        bars.set_verts(
            [[(a, 0), (a, h), (b, h), (b, 0)] for a, b, h in zip(left, right, n.flat, strict=True)]
        )
        bars.set_facecolor(depth_colours(depth))
        for marks, values in ((ratio, n.ratio), (update, n.update)):
            marks.set_data((left + right) / 2, np.clip(values, *RATIOS))
        for title, words in zip(titles, _titles(n), strict=True):
            title.set_text(words)

    return Panel(figure, [*lines, bars, ratio, update, *titles], apply)


def _draw(collection: LineCollection, edges: np.ndarray, rows: np.ndarray) -> None:
    middles = (edges[1:] + edges[:-1]) / 2
    collection.set_segments([np.column_stack([middles, row]) for row in rows])
    collection.set_color(depth_colours(len(rows)))


def strip(X: Tensor, Y: Tensor, gains: tuple = (0.5, 1.0, 5 / 3, 3.0), **network: Any) -> tuple[Figure, str]:
    """(figure, caption) for `figures.show`: five tanh layers at some gains side by side, outputs above and gradients below."""
    figure, axes = new_figure(9.6, 5.0, nrows=2, ncols=len(gains), sharey="row", squeeze=False)
    compute, words = Network(X, Y, **network).compute, []
    for (above, below), gain in zip(axes.T, gains, strict=True):
        n = compute({"gain": gain, "activation": "tanh", "depth": 5, "BatchNorm": False, "rate": 0.1})
        for ax, edges, rows in ((above, OUTPUTS, n.outputs), (below, SIZES, n.gradients)):
            _draw(ax.add_collection(LineCollection([], linewidths=1.4)), edges, rows)
            ax.set(ylim=(0, 0.2), yticks=[0, 0.1, 0.2])
        above.set(title=f"gain {_gain(gain)}", xlim=(-1.1, 1.1), xticks=[-1, 0, 1])
        above.set_xlabel(f"output: std {n.std[0]:.2f} to {n.std[-1]:.2f}")
        below.set(xlim=(-8, -3), xlabel="log10 |gradient|")
        below.set_title(f"first layer: {compared(n.gradient_std[0], n.gradient_std[-1])}", fontsize=9)
        words.append(f"{n.std[-1]:.2f} at gain {_gain(gain)}")
    for ax in axes[:, 0]:
        ax.set_ylabel("share in each bin")
    return (
        figure,
        "Five tanh layers before the first step, from dark (first) to light (last), their outputs above and the gradients "
        f"there below: std of the last layer's outputs {', '.join(words)}.",
    )
