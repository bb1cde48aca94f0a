"""The gradient microscope of lesson 6: one backward pass beside another's and autograd's, step by step, from the loss to the embedding.

`slider` puts controls before the pictures of `panel`, which show what `Bench.compute` finds; `strip` shows the telling steps on paper;
`yours` collects what a learner's functions give.
"""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lessons_lib.microscope_bench import TOLERANCE, Bench, Numbers, yours
from lessons_lib.microscope_steps import STEPS
from lessons_lib.sliders import Choice, Panel, Slider, Steps
from lessons_lib.style import BLUE, GREEN, GREY, INK, ORANGE, new_figure

__all__ = ["Bench", "Numbers", "describe", "panel", "slider", "strip", "yours"]

COLOURS = LinearSegmentedColormap.from_list("below and above 0", [ORANGE, "white", BLUE])
ERRORS = (1e-17, 30.0)  # the axis of differences; what lies beyond is drawn at its end
NAMES = [step.name for step in STEPS]
ON_PAPER = [1, 5, 9, 13, 16, 18, 20]  # the steps that `strip` names, counted from 1


def slider(parameters: dict[str, Tensor], X: Tensor, Y: Tensor, given: dict[str, Any]) -> Slider:
    """The slider: the step, whose gradients, the pictures, a sentence. Arguments as for `Bench`."""
    bench = Bench(parameters, X, Y, given)
    numbered = [f"{place}: {name}" for place, name in enumerate(NAMES, start=1)]
    controls = [Steps("step", NAMES, texts=numbered), Choice("whose", list(given))]
    return Slider(controls, bench.compute, panel(), describe)


def describe(values: dict[str, Any], n: Numbers) -> str:
    """One sentence with the key numbers: the picture's caption, and what a reader hears who cannot see it."""
    step, (theirs, true, slope) = STEPS[n.place], n.values
    back = f"Step {n.place + 1} of 20, {step.name} {n.shape}, back through {' and '.join(step.lines)} ({step.rule}): {n.whose}"
    if n.verdict == "none":
        return f"{back}, {_problem(n)}."
    told = _told(theirs, true, slope)
    sides = "sides with autograd" if n.sides else "does not side with autograd"
    if n.verdict == "agrees":
        return f"{back} agrees with autograd to 1e-9, and a finite difference {'with both' if n.sides else 'with neither'}."
    return (
        f"{back} differs{', first here,' if n.first else ''} by {_amount(n)}; where it differs most it has {told[0]}, "
        f"autograd {told[1]}, and a finite difference {sides}: {told[2]}."
    )


def _told(theirs: float, *others: float) -> list[str]:
    """The three numbers with as many digits, from 3 on, as show that the first is not the second."""
    for digits in range(3, 11):
        told = [f"{number:.{digits}g}" for number in (theirs, *others)]
        if told[0] != told[1]:
            break
    return told


def _problem(n: Numbers) -> str:
    waiting = n.problem == "not written yet"
    return f"{n.problem}{f' (exercise {STEPS[n.place].exercise})' if waiting else ''}"


def _amount(n: Numbers) -> str:
    of = "what it sums" if STEPS[n.place].name == "db1" else "the largest entry"
    if n.error >= 10:
        return f"{n.error:.3g} times {of}"
    return f"{n.error:.0%} of {of}" if n.error >= 0.095 else f"{100 * n.error:.2g}% of {of}"


def _verdict(n: Numbers) -> str:
    if n.verdict == "none":
        problem = _problem(n)
        return problem if len(problem) <= 75 else f"{problem[:74]}…"
    if n.verdict == "agrees":
        return "agrees"
    return f"differs{', first here,' if n.first else ''} by {_amount(n)}"


def panel() -> Panel:
    """Theirs, autograd's and the difference, side by side, and below them how far each step so far is off.

    Colours go by the root of a number's size, blue above 0 and orange below, so that the small ones are seen beside the largest.
    """
    figure, axes = new_figure(9.6, 5.4, nrows=2, ncols=3, height_ratios=[1.25, 1])
    figure.set_dpi(84)  # as for the gain slider: fewer pixels are drawn and compressed sooner
    for ax in axes[1]:
        ax.remove()
    below = figure.add_subplot(axes[0, 0].get_gridspec()[1, :])
    pictures = [_Picture(ax) for ax in axes[0]]
    headline = figure.suptitle(" \n ", x=0.01, ha="left", fontsize=11, family="monospace", color=INK)
    marks = _trail(below)
    below.set_xticks(range(1, 21), NAMES, rotation=55, ha="right", rotation_mode="anchor", fontsize=9)
    below.set_ylabel("relative error")
    below.text(0.5, 3 * TOLERANCE, "agrees below this line", fontsize=8, color=GREY, zorder=0.9)
    here = below.axvspan(0.5, 1.5, color=GREY, alpha=0.25, linewidth=0)
    title = below.set_title(" ")
    changing = [headline, *marks, here, title, *(artist for p in pictures for artist in p.artists)]

    def apply(n: Numbers) -> None:
        step = STEPS[n.place]
        headline.set_text(f"{step.name}  {n.shape}    {step.rule}\n{'    '.join(step.lines)}")
        _show_three(pictures, n)
        _show_trail(marks, n)
        here.set_x(n.place + 0.5)
        title.set_text(f"{n.whose}: {_verdict(n)}")

    return Panel(figure, changing, apply)


def strip(parameters: dict[str, Tensor], X: Tensor, Y: Tensor, given: dict[str, Any]) -> tuple[Figure, str]:
    """(figure, caption) for `figures.show`: how far each backward pass is off, and the step where it first differs, or the last.

    One that has nothing to compare yet is only told of. Raises ValueError where there is none that has.
    """
    bench, rows, words = Bench(parameters, X, Y, given), [], []
    for whose in given:
        seen = [bench.compute({"step": name, "whose": whose}) for name in NAMES]
        if not seen[-1].trail:
            words.append(f"{whose} has nothing to compare yet")
            continue
        telling = next((n for n in seen if n.first), seen[-1])
        rows.append((telling, seen[-1]))
        back = f"{NAMES[telling.place]}, back through {' and '.join(STEPS[telling.place].lines)}"
        whole = "agrees throughout" if len(seen[-1].trail) == len(STEPS) else "agrees as far as it goes"
        words.append(
            f"{whose} {f'differs first at {back}, by {_amount(telling)}' if telling.first else whole}"
        )
    if not rows:
        raise ValueError("there is nothing to compare yet in any of these backward passes")
    layout = {"nrows": len(rows), "ncols": 4, "width_ratios": [1.5, 1, 1, 1], "squeeze": False}
    figure, axes = new_figure(9.6, 0.3 + 2.1 * len(rows), **layout)
    for (left, *rest), (n, last) in zip(axes, rows, strict=True):
        _show_trail(_trail(left), last)
        left.set_ylabel("relative error", fontsize=9)
        left.set_xticks(ON_PAPER, [NAMES[place - 1] for place in ON_PAPER], fontsize=8, rotation=45)
        told = f"first off at {NAMES[n.place]}, by {n.error:.0%}" if n.first else _verdict(n)
        left.set_title(f"{n.whose}: {told}", fontsize=9)
        _show_three([_Picture(ax, size=9) for ax in rest], n, f"{NAMES[n.place]}, ")
    axes[-1, 0].set_xlabel("the twenty steps back")
    return figure, f"Relative error, step by step, and the step that tells: {'; '.join(words)}."


def _trail(ax: Axes) -> list:
    """An axis for the errors of the twenty steps, and the marks for those that agree and those that differ."""
    ax.set(xlim=(0.4, 20.6), ylim=ERRORS, yscale="log")
    ax.set_yticks([1e-16, 1e-12, 1e-8, 1e-4, 1])
    ax.minorticks_off()
    ax.axhline(TOLERANCE, color=INK, linewidth=1, linestyle="--", zorder=0.9)
    marks = [
        ax.plot([], [], marker, color=c, markersize=6, clip_on=False)[0]
        for marker, c in (("o", GREEN), ("s", ORANGE))
    ]
    for mark in marks:
        mark.set_in_layout(False)
    return marks


def _show_trail(marks: list, n: Numbers) -> None:
    agree = [(place + 1, max(error, ERRORS[0])) for place, error in n.trail if error <= TOLERANCE]
    differ = [(place + 1, min(error, ERRORS[1])) for place, error in n.trail if error > TOLERANCE]
    for mark, points in zip(marks, (agree, differ), strict=True):
        mark.set_data(*np.array(points).reshape(-1, 2).T)


class _Picture:
    """A matrix as a picture: its cells are square, but a single row or column is thick enough to be seen."""

    WIDTH = 1.6  # of the place there is, its height being 1

    def __init__(self, ax: Axes, size: float = 10):
        self.image = ax.imshow(np.zeros((1, 1)), cmap=COLOURS, vmin=-1, vmax=1, interpolation="nearest")
        ax.set(xlim=(0, self.WIDTH), ylim=(0, 1), aspect="equal", autoscale_on=False)
        ax.axis("off")
        self.frame = ax.add_patch(
            Rectangle((0, 0), 1, 1, fill=False, edgecolor=GREY, linewidth=0.8, clip_on=False)
        )
        self.title = ax.set_title(" ", fontsize=size)
        for artist in (self.image, self.frame):
            artist.set_in_layout(False)  # they fit by themselves

    @property
    def artists(self) -> list:
        """What changes."""
        return [self.image, self.frame, self.title]

    def show(self, matrix: np.ndarray | None, like: np.ndarray, title: str) -> None:
        """matrix: in units of the strongest colour; None leaves an empty frame of the form of `like`."""
        rows, columns = like.shape
        cell = min(1 / rows, self.WIDTH / columns)
        height, width = max(rows * cell, 0.08), max(columns * cell, 0.08)
        left, bottom = (self.WIDTH - width) / 2, (1 - height) / 2
        self.image.set_data(np.zeros((1, 1)) if matrix is None else np.sign(matrix) * np.sqrt(np.abs(matrix)))
        self.image.set_extent((left, left + width, bottom, bottom + height))
        self.frame.set_bounds(left, bottom, width, height)
        self.title.set_text(title)


def _show_three(pictures: list[_Picture], n: Numbers, before: str = "") -> None:
    theirs, autograd, difference = pictures
    theirs.show(
        n.found, n.truth, f"{before}{n.whose}" if n.found is not None else f"{n.whose}: nothing to see"
    )
    autograd.show(n.truth, n.truth, "autograd")
    if n.verdict != "differs":
        difference.show(None, n.truth, "difference: none" if n.verdict == "agrees" else " ")
        return
    times = 10.0 ** max(0, int(np.floor(-np.log10(n.error)))) if np.isfinite(n.error) else 1.0
    enlarged = f" × {times:,.0f}" if times > 1 else ""
    difference.show(n.difference * times, n.truth, f"difference{enlarged}")
