"""The attention slider of lesson 8: where each head of a GPT looks while it reads a line, from any of its places.

`slider` puts controls before a map of one head and the line itself, shaded where the chosen place looks; `strip` shows every head
on paper. The weights are computed once, by `lessons_lib.transformer.attention_weights`.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lessons_lib.next_token import shown
from lessons_lib.sliders import Panel, Range, Slider, Steps
from lessons_lib.style import BLUE, GREY, ORANGE, new_figure
from lessons_lib.transformer import GPT, attention_weights

__all__ = ["Numbers", "Reader", "describe", "panel", "slider", "strip"]

COLOURS = LinearSegmentedColormap.from_list("seldom and often", ["white", "#7FB8D9", BLUE, "#00324F"])
SHADES = PowerNorm(0.5, 0, 1)  # by the root, so that a twentieth is seen beside a half
DARK = 0.38  # from this weight on the letters are white: on every shade the contrast is then above 4.5


class Numbers(NamedTuple):
    """What a setting of the slider comes to; T places, counted from 0."""

    texts: list[str]  # T: what stands at each place
    weights: np.ndarray  # (T, T) of this head: row t is where place t looks
    place: int  # the chosen one
    layer: int  # from 1
    head: int  # from 1

    @property
    def row(self) -> np.ndarray:
        """(T,) where the chosen place looks."""
        return self.weights[self.place]


def habit(weights: np.ndarray) -> tuple[str, float]:
    """Where a head likes to look, so many places back or always at the first, and the mean weight it has there. weights: (T, T).

    The mean is over the second half of the line, whose places all have every step up to half the line before them.
    """
    later = np.arange(len(weights) // 2, len(weights))
    means = {_back(step): weights[later, later - step].mean() for step in range(len(weights) // 2 + 1)}
    means["the first place"] = weights[later, 0].mean()
    return max(means.items(), key=lambda item: item[1])


class Reader:
    """A model and a line that it has read.

    model: a lessons_lib.transformer.GPT. tokens: (T,) int64, at most the model's block. texts: what each token is, T of them.
    Raises ValueError where there are not as many texts as tokens, and as the model does.
    """

    def __init__(self, model: GPT, tokens: Tensor, texts: Sequence[str]):
        self.texts = list(texts)
        if len(self.texts) != len(tokens):
            raise ValueError(f"there are {len(tokens)} tokens and {len(self.texts)} texts for them")
        self.weights = attention_weights(model, tokens).cpu().double().numpy()  # (layers, heads, T, T)

    def compute(self, values: dict[str, Any]) -> Numbers:
        """The slider's values as numbers."""
        layer, head = values["head"]
        return Numbers(self.texts, self.weights[layer - 1, head - 1], values["place"], layer, head)


def controls(reader: Reader) -> list[Steps]:
    """Which head, layer by layer, and from which place; at first the first head, and the last place."""
    layers, heads, places, _ = reader.weights.shape
    every = [(layer, head) for layer in range(1, layers + 1) for head in range(1, heads + 1)]
    named = [f"{place + 1}: {shown(text)}" for place, text in enumerate(reader.texts)]
    return [
        Steps("head", every, texts=[f"layer {layer}, head {head}" for layer, head in every]),
        Range("place", 0, places - 1, value=places - 1, texts=named),
    ]


def slider(model: GPT, tokens: Tensor, texts: Sequence[str]) -> Slider:
    """The slider: which head, which place, the picture, a sentence. Arguments as for `Reader`."""
    reader = Reader(model, tokens, texts)
    return Slider(controls(reader), reader.compute, panel(reader.texts), describe)


def describe(values: dict[str, Any], n: Numbers) -> str:
    """One sentence: where this place looks most, how far it looks on average, and what the head does over the whole line."""
    first, *others = np.argsort(-n.row, kind="stable")[:3]
    back = float(n.row @ (n.place - np.arange(len(n.row))))
    more = [f"{n.row[i]:.2f} on {_spoken(n, i)}" for i in others if n.row[i] >= 0.005]
    favourite, mean = habit(n.weights)
    return (
        f"Layer {n.layer}, head {n.head}, at {_named(n, n.place)} (place {n.place + 1} of {len(n.texts)}): {n.row[first]:.2f} on "
        f"{_spoken(n, first)}{''.join(f', {words}' for words in more)}, {back:.1f} places back on average; over the second half "
        f"of the line this head favours {favourite}, with {mean:.2f} on average."
    )


def _named(n: Numbers, place: int) -> str:
    text = n.texts[place]
    return {"\n": "the line end", " ": "a space"}.get(text, f"“{shown(text)}”")


def _spoken(n: Numbers, place: int) -> str:
    distance = n.place - int(place)
    return "itself" if distance == 0 else f"{_named(n, place)} {_away(distance)}"


def _away(distance: int) -> str:
    return f"{distance} place{'s' * (distance != 1)} back"


def _back(step: int) -> str:
    return "the place itself" if step == 0 else "the place before" if step == 1 else f"the place {step} back"


def panel(texts: Sequence[str]) -> Panel:
    """The line, shaded where the chosen place looks, and right below it, column by column, the map of the head."""
    places = len(texts)
    figure, axes = new_figure(9.6, 5.6, nrows=2, height_ratios=[0.5, 5], sharex=True)
    figure.set_dpi(84)  # as for the gain slider: fewer pixels are drawn and compressed sooner
    line, below = axes
    boxes, letters, chosen = _line(line, texts)
    image = below.imshow(
        np.zeros((places, places)), cmap=COLOURS, norm=SHADES, aspect="auto", interpolation="nearest"
    )
    _bare(below)
    below.set(xlim=(-0.5, places - 0.5), ylim=(places - 0.5, -0.5), ylabel="place that looks, first to last")
    below.set_xlabel("place that is looked at, under its own text")
    band = below.add_patch(Rectangle((-0.5, 0), places, 1, fill=False, edgecolor=ORANGE, linewidth=1.8))
    bar = figure.colorbar(
        ScalarMappable(SHADES, COLOURS), ax=below, ticks=[0, 0.05, 0.2, 0.5, 1], pad=0.01, aspect=30
    )
    bar.ax.set_yticklabels(["0", "0.05", "0.2", "0.5", "1"])
    title = line.set_title(" ", parse_math=False)  # a text may hold two $

    def apply(n: Numbers) -> None:
        boxes.set_facecolor(COLOURS(SHADES(n.row)))
        for letter, weight in zip(letters, n.row, strict=True):
            letter.set_color("white" if weight >= DARK else "black")
        chosen.set_x(n.place - 0.5)
        image.set_data(n.weights)
        band.set_y(n.place - 0.5)
        title.set_text(_title(n))

    return Panel(figure, [boxes, *letters, chosen, image, band, title], apply)


def _title(n: Numbers) -> str:
    place = int(n.row.argmax())
    return (
        f"Layer {n.layer}, head {n.head}, at {_named(n, n.place)}: {n.row[place]:.2f} on {_spoken(n, place)}"
    )


def _line(ax: Axes, texts: Sequence[str]) -> tuple[PolyCollection, list, Rectangle]:
    """The line in a row of boxes, a text to a box, with a frame for the chosen one."""
    ax.set(ylim=(0, 1))
    _bare(ax)
    ax.spines[:].set_visible(False)
    squares = [[(x - 0.5, 0), (x - 0.5, 1), (x + 0.5, 1), (x + 0.5, 0)] for x in range(len(texts))]
    boxes = ax.add_collection(PolyCollection(squares, edgecolors=GREY, linewidths=0.4))
    longest = max(len(text) for text in texts)
    size = min(13.0, 0.9 * 72 * 8.6 / len(texts) / (0.62 * longest))
    style = {"ha": "center", "va": "center", "family": "monospace", "fontsize": size, "parse_math": False}
    letters = [ax.text(place, 0.5, shown(text), **style) for place, text in enumerate(texts)]
    chosen = ax.add_patch(
        Rectangle((-0.5, 0), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2.4, clip_on=False, zorder=4)
    )
    return boxes, letters, chosen


def _bare(ax: Axes) -> None:
    ax.grid(visible=False)
    ax.tick_params(length=0, labelbottom=False, labelleft=False)


def strip(model: GPT, tokens: Tensor, texts: Sequence[str]) -> tuple[Figure, str]:
    """(figure, caption) for `figures.show`: the maps of all heads, a row for each layer, each titled with the step that it favours.

    Line ends are marked under each map. Arguments as for `Reader`.
    """
    reader = Reader(model, tokens, texts)
    layers, heads = reader.weights.shape[:2]
    figure, axes = new_figure(9.6, 0.6 + 1.7 * layers, nrows=layers, ncols=heads, squeeze=False)
    habits, ends = {}, [place for place, text in enumerate(texts) if "\n" in text]
    for layer in range(layers):
        for head in range(heads):
            ax, weights = axes[layer, head], reader.weights[layer, head]
            ax.imshow(weights, cmap=COLOURS, norm=SHADES, aspect="auto", interpolation="nearest")
            _bare(ax)
            favourite, mean = habits[layer + 1, head + 1] = habit(weights)
            ax.set_title(f"{layer + 1}.{head + 1}: {mean:.2f} on {favourite}", fontsize=9)
            ax.set_xticks(ends, [shown("\n")] * len(ends), family="monospace")
            ax.tick_params(axis="x", length=2, labelbottom=True, pad=1, labelsize=9)
    axes[-1, 0].set_xlabel("place that is looked at", fontsize=9)
    axes[-1, 0].set_ylabel("place that looks", fontsize=9)
    (first, second), (favourite, mean) = max(habits.items(), key=lambda item: item[1][1])
    before = sum(place == "the place before" for place, _ in habits.values())
    line = "".join(texts).strip().replace("\n", " / ")
    return (
        figure,
        f"Where the {layers * heads} heads (layer.head) look while “{line}” is read, place by place from top to bottom: the "
        f"strictest is head {second} of layer {first}, with {mean:.2f} on {favourite} on average, and {before} of the "
        f"{layers * heads} favour the place before.",
    )
