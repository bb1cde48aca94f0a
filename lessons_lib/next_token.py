"""The temperature and top-k slider of lesson 8: what the two settings do to one next character, and to the text that follows.

`slider` puts controls before a picture of the probabilities, of the dart that is thrown at them and of the text; the darts are the
same at every setting, so that whatever changes is the settings' doing. `strip` shows some settings on paper.
"""

import re
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from lessons_lib.next_token_sampler import Numbers, Sampler
from lessons_lib.sliders import Panel, Range, Slider, Steps
from lessons_lib.style import BLUE, GREY, INK, ORANGE, new_figure
from lessons_lib.transformer import GPT

__all__ = ["Numbers", "Sampler", "describe", "panel", "shown", "slider", "strip"]

TOP_K = [1, 2, 3, 5, 10, 20, "all"]
BARS, NAMED = 20, 14  # characters in the picture, and at most so many names on the running sum
SETTINGS = [(0.0, "all"), (0.6, "all"), (1.0, "all"), (1.0, 5), (1.6, "all")]  # of `strip`
CUT, LIGHT = "#C9C9C9", "#A9CFE8"


def controls() -> list[Steps]:
    """Temperature and top-k; at first the model's own probabilities."""
    return [Range("temperature", 0.0, 2.0, 0.2, value=1.0), Steps("top-k", TOP_K, "all")]


def slider(model: GPT, vocabulary: Any, prompt: str, seed: int) -> Slider:
    """The slider: two controls, the picture, a sentence. Arguments as for `Sampler`."""
    sampler = Sampler(model, vocabulary, prompt, seed)
    start = {control.name: control.options[control.start] for control in controls()}
    return Slider(controls(), sampler.compute, panel(sampler.compute(start)), describe)


def describe(values: dict[str, Any], n: Numbers) -> str:
    """One sentence with the key numbers and the text itself, in which a stroke is a line end."""
    likeliest = int(n.plain.argmax())
    before = f", at temperature 1 {n.plain[likeliest]:.2f}" if not np.allclose(n.cut, n.plain) else ""
    return (
        f"After “{_spoken(n.prompt)}” at {n.setting}, {(n.cut > 0).sum()} of {len(n.characters)} characters can come, as open a "
        f"choice as among {n.openness:.1f} equals; {_named(n, likeliest)} has {n.cut[likeliest]:.2f}{before}; {_throw(n)}; "
        f"{_parting(n)}: “{_spoken(n.text)}”."
    )


def _spoken(text: str) -> str:
    """As verse is quoted in a line: a stroke for the end of a line, two where an empty line follows."""
    return re.sub("\n+", lambda ends: f" {'/' * len(ends[0])} ", text)


def _named(n: Numbers, number: int) -> str:
    character = n.characters[number]
    return {"\n": "the line end", " ": "the space"}.get(character, f"“{character}”")


def _throw(n: Numbers) -> str:
    if n.dart is None:
        return f"no dart is thrown, and {_named(n, n.drawn)} comes"
    return f"the dart at {n.dart:.2f} strikes {_named(n, n.drawn)}, which has {n.cut[n.drawn]:.2f}"


def _parting(n: Numbers) -> str:
    if n.differs is None:
        return "the text is that of temperature 1, all"
    return f"the text parts from that of temperature 1, all, at character {n.differs + 1}"


def shown(text: str) -> str:
    """The text with its spaces and line ends to be seen, a sign for a sign."""
    return text.replace("\n", "⏎").replace(" ", "·")


def panel(first: Numbers) -> Panel:
    """The likeliest characters as bars, below them the dart on the running sum of all, and the text that follows.

    first: numbers of any setting: they say which characters are the likeliest, which no setting changes, and what the prompt is.
    """
    figure, axes = new_figure(9.6, 5.2, nrows=3, height_ratios=[3.2, 0.75, 1.05])
    figure.set_dpi(84)  # as for the gain slider: fewer pixels are drawn and compressed sooner
    above, middle, below = axes
    bars = _bars(above, first)
    above.set(ylabel="probability")
    _legend(above, ncols=4)
    title = above.set_title(" ", parse_math=False)  # a text may hold two $
    throw = _running_sum(middle)
    texts = _texts(below, first)

    def apply(n: Numbers) -> None:
        _set_bars(bars, n)
        _set_throw(throw, n)
        _set_texts(texts, n)
        title.set_text(_title(n))

    return Panel(figure, [*bars, *throw, *texts, title], apply)


def _title(n: Numbers) -> str:
    return f"After {_tail(n.prompt, 18)} at {n.setting}: as open as among {n.openness:.1f} equals"


def _tail(text: str, length: int) -> str:
    return f"“{'…' if len(text) > length else ''}{shown(text[-length:])}”"


def _likeliest(n: Numbers, count: int = BARS) -> list[int]:
    """The numbers of the likeliest characters, the first among equals first; neither setting changes their order."""
    return np.argsort(-n.plain, kind="stable")[:count].tolist()


def _bars(ax: Axes, n: Numbers, count: int = BARS) -> list:
    """Axes for the likeliest characters, a dash at what each has at temperature 1, and bars that are still empty."""
    likeliest = _likeliest(n, count)
    ax.set(xlim=(-0.6, len(likeliest) - 0.4), ylim=(0, 1.02), yticks=[0, 0.5, 1])
    ax.set_xticks(
        range(len(likeliest)),
        [shown(n.characters[i]) for i in likeliest],
        family="monospace",
        parse_math=False,
    )
    ax.tick_params(axis="x", length=0, labelsize=12)
    ax.grid(visible=False, axis="x")
    bars = ax.add_collection(PolyCollection([], linewidths=0, antialiaseds=False))
    bars.set_in_layout(False)
    places = np.arange(len(likeliest))
    ax.hlines(n.plain[likeliest], places - 0.42, places + 0.42, color=INK, linewidth=1.6, zorder=3)
    return [bars]


def _set_bars(bars: list, n: Numbers, count: int = BARS) -> None:
    boxes, colours = [], []
    for place, i in enumerate(_likeliest(n, count)):
        kept = n.cut[i] > 0
        boxes.append(_box(place - 0.36, place + 0.36, n.cut[i] if kept else n.uncut[i]))
        colours.append(ORANGE if i == n.drawn else BLUE if kept else CUT)
    bars[0].set_verts(boxes)
    bars[0].set_facecolor(colours)


def _box(left: float, right: float, height: float) -> list[tuple[float, float]]:
    return [(left, 0), (left, height), (right, height), (right, 0)]


def _running_sum(ax: Axes) -> list:
    """Axes for all characters end to end, as wide as they are probable, with the dart."""
    ax.set(xlim=(0, 1), ylim=(0, 1.7), yticks=[], xticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set_xlabel("running sum over the whole vocabulary, and the dart")
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    parts = ax.add_collection(PolyCollection([], edgecolors="white", linewidths=0.7))
    style = {"ha": "center", "va": "center", "family": "monospace", "parse_math": False}
    names = [ax.text(0, 0.5, "", **style) for _ in range(NAMED)]
    (shaft,) = ax.plot([], [], color=INK, linewidth=2, clip_on=False, zorder=4)
    (head,) = ax.plot([], [], "v", color=INK, markersize=9, clip_on=False, zorder=4)
    artists = [parts, *names, shaft, head]
    for artist in artists:
        artist.set_in_layout(False)
    return artists


def _set_throw(artists: list, n: Numbers) -> None:
    parts, *names, shaft, head = artists
    ends = np.cumsum(n.cut)
    some = [i for i in range(len(n.cut)) if n.cut[i] > 0]
    parts.set_verts([_box(ends[i] - n.cut[i], ends[i], 1) for i in some])
    parts.set_facecolor([ORANGE if i == n.drawn else LIGHT for i in some])
    wide = [i for i in some if n.cut[i] >= 0.02]
    wide = sorted(wide, key=lambda i: -n.cut[i])[:NAMED]
    for k, name in enumerate(names):
        if k < len(wide):
            name.set_text(shown(n.characters[wide[k]]))
            name.set_x(ends[wide[k]] - n.cut[wide[k]] / 2)
            name.set_color("white" if wide[k] == n.drawn else INK)
        else:
            name.set_text("")
    thrown = [] if n.dart is None else [n.dart]
    shaft.set_data(thrown * 2, [0, 1.3] if thrown else [])
    head.set_data(thrown, [1.35] if thrown else [])


def _legend(ax: Axes, **how: Any) -> None:
    marks = [Line2D([], [], color=INK, linewidth=1.6, label="at temperature 1, all")]
    kinds = {"drawn": ORANGE, "can come": BLUE, "cut away": CUT}
    marks += [Rectangle((0, 0), 1, 1, color=colour, label=kind) for kind, colour in kinds.items()]
    ax.legend(handles=marks, loc="upper right", **how).set_zorder(0.9)  # under what changes, so drawn once


def _texts(ax: Axes, n: Numbers) -> list:
    """Two lines to compare: the plain text, which stays, and that of the setting, orange from where the two part."""
    ax.axis("off")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    size = min(13.5, 13.5 * 64 / len(n.plain_text))
    style = {"family": "monospace", "va": "center", "fontsize": size, "parse_math": False}
    ax.text(0, 0.97, "The text that follows at temperature 1, all:", fontsize=9, color=GREY, va="center")
    ax.text(0, 0.70, shown(n.plain_text), color=INK, **style)
    words = ax.text(0, 0.39, "", fontsize=9, color=GREY, va="center")
    same = ax.text(0, 0.12, "", color=INK, **style)
    other = ax.text(0, 0.12, "", color=ORANGE, weight="bold", **style)
    for artist in (words, same, other):
        artist.set_in_layout(False)
    return [words, same, other]


def _set_texts(artists: list, n: Numbers) -> None:
    words, same, other = artists
    place = len(n.text) if n.differs is None else n.differs
    known = "no other" if n.differs is None else f"another from character {place + 1} on"
    words.set_text(f"With the same darts at {n.setting}, {known}:")
    same.set_text(shown(n.text[:place]))
    other.set_text(" " * place + shown(n.text[place:]))


def strip(
    model: GPT, vocabulary: Any, prompt: str, seed: int, settings: list = SETTINGS
) -> tuple[Figure, str]:
    """(figure, caption) for `figures.show`: some settings (temperature, top-k) one below the other, bars beside what is said.

    Arguments as for `Sampler`.
    """
    sampler, words = Sampler(model, vocabulary, prompt, seed), []
    figure, axes = new_figure(
        9.6, 0.5 + 1.25 * len(settings), nrows=len(settings), ncols=2, width_ratios=[1, 1.35], squeeze=False
    )
    for (left, right), (temperature, top_k) in zip(axes, settings, strict=True):
        n = sampler.compute({"temperature": temperature, "top-k": top_k})
        _set_bars(_bars(left, n, 12), n, 12)
        left.set_title(f"{n.setting}: as among {n.openness:.1f} equals", fontsize=10)
        right.axis("off")
        words_at = {"family": "monospace", "va": "center", "fontsize": 13, "parse_math": False}
        right.text(0, 0.5, _wrapped(n.text, 40), **words_at)
        words.append(f"{n.openness:.1f} at {n.setting} (“{_spoken(n.text[:24])}…”)")
    _legend(axes[0, 0], ncols=2, fontsize=8)
    axes[0, 1].set_title(f"what follows {_tail(prompt, 24)}", fontsize=10, parse_math=False)
    return (
        figure,
        f"What comes after “{_spoken(prompt)}” is as open as a choice among so many equals, and with the same darts the text begins: "
        f"{'; '.join(words)}.",
    )


def _wrapped(text: str, width: int) -> str:
    lines = wrap(text.replace("\n", "⏎"), width, drop_whitespace=False)
    return "\n".join(map(shown, lines))
