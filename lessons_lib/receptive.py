"""The receptive-field slider of lesson 7: which letters reach one output of a stack of dilated convolutions.

`reached` finds it by the gradient and not by a formula. `slider` puts controls before a picture of the connections, drawn over a
name; `strip` shows some of it on paper.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from lessons_lib.figures import BLUE, GREY, INK, ORANGE, new_figure
from lessons_lib.sliders import Choice, Panel, Range, Slider, Steps

__all__ = ["DILATIONS", "NAME", "Numbers", "compute", "describe", "panel", "reached", "slider", "strip"]

NAME = "nezahualcoyotl"  # a poet, and king of Texcoco; one of the two longest names in the list
TEXT = "." + NAME
DILATIONS = {
    text: tuple(map(int, text.split("-"))) for text in ("1-2-4", "1-1-1", "2-2-2", "4-2-1", "1-2-4-8")
}
KERNELS = (2, 3)
SILENCE = 40  # places before the name, more than any setting looks back
SHOWN = 4  # of them, in the picture
PALE = "#DDDDDD"


class Numbers(NamedTuple):
    """What a setting of the slider comes to. Places count from 0, the end mark before the name; those of the silence lie below 0."""

    dilations: tuple[int, ...]
    kernel: int
    place: int  # of the output
    nodes: list[list[int]]  # for each level, letters first, the places that reach the output
    wires: list[list[tuple[int, int]]]  # for each layer, (from, to) of the connections that reach it

    @property
    def letters(self) -> list[int]:
        """Places of the name that reach the output."""
        return [place for place in self.nodes[0] if place >= 0]

    @property
    def width(self) -> int:
        """From the farthest place that reaches the output to the nearest, both counted."""
        return self.nodes[0][-1] - self.nodes[0][0] + 1


def reached(dilations: tuple[int, ...], kernel: int, place: int, places: int = len(TEXT)) -> Numbers:
    """Ask autograd which inputs of a stack of causal convolutions have a gradient when only the output at `place` counts.

    One layer for each dilation, each with `kernel` inputs that lie `dilation` apart, the last of them at the output's own place.
    Raises ValueError where place is none of 0 to places - 1.
    """
    if not 0 <= place < places:
        raise ValueError(f"the places go from 0 to {places - 1}, and this one is {place}")
    levels = [torch.ones(1, 1, SILENCE + places, dtype=torch.float64, requires_grad=True)]
    for dilation in dilations:
        weight = torch.full((1, 1, kernel), 1 / kernel, dtype=torch.float64)  # positive: nothing can cancel
        padded = F.pad(levels[-1], (dilation * (kernel - 1), 0))
        levels.append(F.conv1d(padded, weight, dilation=dilation).tanh())
        levels[-1].retain_grad()
    levels[-1][0, 0, SILENCE + place].backward()
    nodes = [[int(p) - SILENCE for p in level.grad[0, 0].nonzero()[:, 0]] for level in levels]
    wires = [
        [
            (to - step * dilation, to)
            for to in above
            for step in range(kernel)
            if to - step * dilation in below
        ]
        for dilation, below, above in zip(dilations, nodes[:-1], nodes[1:], strict=True)
    ]
    return Numbers(tuple(dilations), kernel, place, nodes, wires)


def controls() -> list[Steps]:
    """The output's place, dilations and kernel; at first the lesson's tree, in the middle of the name."""
    read = [f"after {TEXT[1 : place + 1] or 'nothing'}" for place in range(len(TEXT))]
    return [
        Range("output", 0, len(TEXT) - 1, value=9, texts=read),
        Choice("dilations", list(DILATIONS)),
        Choice("kernel", list(KERNELS)),
    ]


def compute(values: dict[str, Any]) -> Numbers:
    """The slider's values as numbers."""
    return reached(DILATIONS[values["dilations"]], values["kernel"], values["output"])


def describe(values: dict[str, Any], numbers: Numbers) -> str:
    """One sentence: how many letters reach the output, which, and how much of the silence before the name."""
    read = TEXT[1 : numbers.place + 1]
    seen = "".join(
        TEXT[p] if p in numbers.letters else "_" for p in range(numbers.letters[0], numbers.place + 1)
    )
    silent = len(numbers.nodes[0]) - len(numbers.letters)
    before = f" and {silent} of the silence before it" if silent else ""
    return (
        f"Kernel {numbers.kernel}, dilations {values['dilations']}: what is said after {read or 'nothing'} is made of "
        f"{_places(len(numbers.letters))} of the name ({seen}){before}, by {sum(map(len, numbers.nodes[1:]))} nodes."
    )


def _places(count: int) -> str:
    return f"{count} place" + "s" * (count != 1)


def slider() -> Slider:
    """The slider: where the output is, how the layers are dilated, and how wide a kernel is."""
    return Slider(controls(), compute, panel(), describe)


def panel() -> Panel:
    """The connections as a tree over the name: those that reach the output in colour, above the letters that they come from."""
    figure, axes = new_figure(9.6, 4.6)
    artists = _draw(axes, 4)
    title = axes.set_title(" ")

    def apply(numbers: Numbers) -> None:
        _set(artists, numbers)
        title.set_text(_title(numbers))

    return Panel(figure, [*artists, title], apply)


def _title(numbers: Numbers) -> str:
    gaps = numbers.width - len(numbers.nodes[0])
    skipped = f", and {gaps} between them do not" if gaps else ", and none between them is left out"
    return f"{_places(len(numbers.nodes[0]))} reach this output{skipped}"


def _draw(axes: Axes, layers: int) -> list:
    """The name below, and empty artists for what is above it."""
    axes.set(xlim=(-SHOWN - 0.6, len(TEXT) - 0.4), ylim=(-0.75, layers + 0.6), yticks=range(layers + 1))
    axes.set_yticklabels(["letters", *(f"layer {layer}" for layer in range(1, layers)), ""])
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(left=False)
    for place in range(-SHOWN, len(TEXT)):
        letter = TEXT[place] if place >= 0 else "."
        colour = INK if place >= 0 else GREY
        axes.text(place, -0.5, letter, ha="center", va="center", fontsize=14, color=colour)
    pale, wires = (axes.add_collection(LineCollection([], zorder=z)) for z in (1, 2))
    (idle,) = axes.plot([], [], "o", color=PALE, ms=6, zorder=3)
    (active,) = axes.plot([], [], "o", color=BLUE, ms=9, zorder=4)
    (output,) = axes.plot([], [], "s", color=ORANGE, ms=12, zorder=5)
    fourth = axes.text(
        -SHOWN - 0.75, layers, "", ha="right", va="center"
    )  # the name of a layer that comes and goes
    artists = [pale, wires, idle, active, output, fourth]
    for artist in artists:
        artist.set_in_layout(False)
    return artists


def _set(artists: list, numbers: Numbers) -> None:
    pale, wires, idle, active, output, fourth = artists
    every = range(-SHOWN, len(TEXT))
    layers = list(enumerate(numbers.dilations))
    pale.set_segments(
        [[(to - k * d, n), (to, n + 1)] for n, d in layers for to in every for k in range(numbers.kernel)]
    )
    pale.set(color=PALE, linewidth=0.6)
    wires.set_segments([[(a, n), (b, n + 1)] for n, layer in enumerate(numbers.wires) for a, b in layer])
    wires.set(color=BLUE, linewidth=1.8)
    grid = [(place, level) for level in range(len(numbers.nodes)) for place in every]
    idle.set_data(*np.array(grid).T)
    lit = [(p, level) for level, places in enumerate(numbers.nodes) for p in places if p >= -SHOWN - 1]
    active.set_data(*np.array(lit).T)
    output.set_data([numbers.place], [len(numbers.dilations)])
    fourth.set_text("layer 4" if len(numbers.dilations) == 4 else "")


def strip(settings: tuple = ("1-2-4", "1-1-1", "2-2-2", "1-2-4-8"), place: int = 12) -> tuple[Figure, str]:
    """(figure, caption) for `figures.show`: some dilations side by side, with kernels of 2, at one place of the name."""
    figure, axes = new_figure(9.6, 5.4, nrows=2, ncols=2)
    words = []
    for ax, setting in zip(axes.flat, settings, strict=True):
        numbers = reached(DILATIONS[setting], 2, place)
        artists = _draw(ax, 4)
        _set(artists, numbers)
        artists[-1].set_text("")
        ax.set_title(f"{setting}: {len(numbers.nodes[0])} places over a width of {numbers.width}")
        ax.set_yticklabels([])
        words.append(f"{len(numbers.nodes[0])} with {setting}")
    return (
        figure,
        f"Which places reach the output after {TEXT[1 : place + 1]}, with kernels of 2: {', '.join(words)}.",
    )
