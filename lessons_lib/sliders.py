"""The course's one slider widget: controls, a picture that follows them, a caption that says what it shows.

Three parts, each of which can be tested alone. `compute(values) -> numbers` is yours and pure. A `Panel`
turns numbers into a picture, fast, because it redraws only what changes. A `Slider` puts controls before the
two. Lesson 1 uses it first; lesson 5 shows how to make a slider of your own with plain ipywidgets.
"""

import io
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cbook import flatten
from matplotlib.figure import Figure
from PIL import Image

from lessons_lib.figures import SHOWN_DPI

__all__ = ["Choice", "Panel", "Range", "Slider", "Steps", "Toggle"]


class Panel:
    """A figure drawn once; `update` then redraws a few artists over the saved background (blitting).

    figure: made without pyplot, e.g. by `figures.new_figure`, with axis limits that fit all numbers to come.
    changing: the artists that follow the numbers, titles included, or lists of them, as `plot` returns.
    apply: apply(numbers) sets these artists from the numbers, and nothing else.

    What lies over a changing artist in the same axes (labels on a box, a legend) is redrawn as well; ticks
    and grid count as background. The layout is settled here: give a changing title a first text, if only " ".
    Raises ValueError for an artist that only another artist draws, such as one text of a legend.
    """

    def __init__(self, figure: Figure, changing: Iterable, apply: Callable[[Any], None]):
        self.figure, self._apply = figure, apply
        self._canvas = FigureCanvasAgg(figure)
        self._canvas.draw()  # settles layout and limits, now for good
        figure.set_layout_engine("none")
        self._front = _with_what_lies_over(figure, set(flatten(changing)))
        for artist in self._front:
            artist.set_animated(True)  # matplotlib's word for: leave it out of `draw`
        self._canvas.draw()
        self._background = self._canvas.copy_from_bbox(figure.bbox)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height at which the picture is shown, in CSS pixels, as `figures.show` shows it."""
        width, height = self.figure.get_size_inches() * SHOWN_DPI
        return round(width), round(height)

    def update(self, numbers: Any) -> bytes:
        """The picture of these numbers, as the bytes of a PNG; it depends on nothing shown before.

        Raises RuntimeError where `apply` changed something that is not redrawn: the picture would be wrong.
        """
        self.figure.stale = False
        self._apply(numbers)
        if self.figure.stale:  # artists in front do not report to the figure: another one has changed
            raise RuntimeError(
                "apply changed more than the artists in `changing`: list them all, fix the axes"
            )
        self._canvas.restore_region(self._background)
        for artist in self._front:
            artist.draw(self._canvas.get_renderer())
        picture = Image.frombuffer("RGBA", self._canvas.get_width_height(), self._canvas.buffer_rgba())
        file = io.BytesIO()
        picture.convert("RGB").save(file, "png", compress_level=1)
        return file.getvalue()


def _with_what_lies_over(figure: Figure, changing: set[Artist]) -> list[Artist]:
    """The changing artists and all that the same axes draw after the first of them, in drawing order."""
    front = []
    for axes in sorted(figure.axes, key=Artist.get_zorder):
        frame = {*axes.spines.values()} if not (axes.axison and axes.get_frame_on()) else set()
        background = {axes.patch, axes.xaxis, axes.yaxis, *frame} - changing  # an axis takes 3 ms to draw
        artists = sorted((a for a in axes.get_children() if a not in background), key=Artist.get_zorder)
        first = next((i for i, artist in enumerate(artists) if artist in changing), len(artists))
        front += artists[first:]
    front += sorted((a for a in figure.get_children() if a in changing), key=Artist.get_zorder)
    if missing := changing.difference(front):
        raise ValueError(f"not drawn by the figure or one of its axes itself: {', '.join(map(str, missing))}")
    return front


class Steps:
    """A slider through given options, in their order: rates of 0.1, 1 and 10, or steps that have names.

    name: its label, and the key of its value. options: all values it can take. value: where it starts, else
    at the first. texts: what is shown for each option, else the option itself.
    """

    kind = "range"

    def __init__(self, name: str, options: Sequence, value: Any = None, texts: Sequence[str] | None = None):
        self.name, self.options = name, list(options)
        self.texts = [_text(option) for option in self.options] if texts is None else list(map(str, texts))
        if not self.options or len(self.texts) != len(self.options):
            raise ValueError(f"{name}: {len(self.options)} options and {len(self.texts)} texts")
        self.start = 0 if value is None else self.position(value)

    def position(self, value: Any) -> int:
        """The value's place among the options. Raises ValueError with a sentence where it is none of them."""
        for i, option in enumerate(self.options):
            if _same(option, value):
                return i
        raise ValueError(f"{self.name} can be {self}, not {value!r}.")

    def __str__(self) -> str:
        return f"{self.texts[0]} to {self.texts[-1]}"


class Range(Steps):
    """A slider from start to stop, both included, in even steps; whole numbers if all three are.

    Raises ValueError where the steps do not end at stop.
    """

    def __init__(self, name: str, start, stop, step=1, value=None, texts: Sequence[str] | None = None):
        count = round((stop - start) / step)
        if count < 1 or not math.isclose(start + count * step, stop, abs_tol=1e-9 * abs(step)):
            way = f"from {_text(start)} to {_text(stop)}"
            raise ValueError(f"{name}: steps of {_text(step)} do not lead {way}")
        number = int if all(isinstance(n, int) for n in (start, stop, step)) else float
        first, width = Decimal(str(start)), Decimal(str(step))  # so that the third step is 0.3
        options = [number(first + i * width) for i in range(count + 1)]
        self.step = step
        super().__init__(name, options, value, texts)

    def __str__(self) -> str:
        return super().__str__() + (f" in steps of {_text(self.step)}" if self.step != 1 else "")


class Choice(Steps):
    """A drop-down list of options."""

    kind = "choice"

    def __str__(self) -> str:
        return ", ".join(self.texts)


class Toggle(Choice):
    """A box to tick: False or True."""

    kind = "toggle"

    def __init__(self, name: str, value: bool = False):
        super().__init__(name, [False, True], value, ["off", "on"])


def _text(option: Any) -> str:
    return f"{option:g}" if isinstance(option, float) else str(option)


def _same(option: Any, value: Any) -> bool:
    if isinstance(option, bool) or isinstance(value, bool):
        return option is value  # True is not the number 1
    try:
        return math.isclose(option, value, rel_tol=1e-6, abs_tol=1e-12)  # 0.1 as float32 is meant to be 0.1
    except TypeError:  # not numbers
        return option == value


class Slider(anywidget.AnyWidget):
    """Controls above a picture with its caption. As the last expression of a cell it shows itself.

    controls: `Range`, `Steps`, `Choice`, `Toggle`. compute: compute(values) -> numbers, pure; values maps
    each control's name to its value. panel: draws the numbers. describe: describe(values, numbers) -> one
    sentence with the key numbers, which is the picture's alternative text and its visible caption.

    The browser sends positions (the third option), so 0.3 is 0.3 and nothing between two steps can arrive.
    Where compute fails there, the caption line says why, and the last picture stays. While Python computes,
    ipywidgets holds back what a dragged slider sends, and then sends the newest position only.
    """

    # As text: of a Path anywidget would keep every slider ever made, until the kernel ends.
    _esm = Path(__file__).with_name("slider.js").read_text(encoding="utf-8")
    _css = Path(__file__).with_name("slider.css").read_text(encoding="utf-8")
    controls = traitlets.List().tag(sync=True)  # of {name, kind, texts}
    positions = traitlets.Dict().tag(sync=True)  # name -> place among the control's options
    size = traitlets.Tuple().tag(sync=True)  # width and height in CSS pixels
    # {picture: bytes of a PNG, caption, problem: stands in the caption's place unless it is empty}. One trait, so
    # that picture and words change together.
    answer = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        controls: Sequence[Steps],
        compute: Callable[[dict[str, Any]], Any],
        panel: Panel,
        describe: Callable[[dict[str, Any], Any], str],
    ):
        self._controls = {control.name: control for control in controls}
        if not controls or len(self._controls) != len(controls):
            raise ValueError("a slider needs controls, each with a name of its own")
        self._compute, self._panel, self._describe = compute, panel, describe
        self._turn = threading.RLock()  # JupyterLab's moves come in a thread of their own
        super().__init__(
            controls=[{"name": c.name, "kind": c.kind, "texts": c.texts} for c in controls],
            positions={c.name: c.start for c in controls},
            size=panel.size,
        )
        self._show(self.values)

    @property
    def values(self) -> dict[str, Any]:
        """The value of each control, by name."""
        return {name: control.options[self.positions[name]] for name, control in self._controls.items()}

    def set(self, **values: Any) -> None:
        """Move controls as a reader would: `slider.set(gain=2.0)`.

        Raises ValueError for a name or value it does not have, and what compute raises; nothing changes then.
        """
        places = {name: self._control(name).position(value) for name, value in values.items()}
        with self._turn:
            self._show(self.values | {name: self._option(name, place) for name, place in places.items()})
            self.positions = self.positions | places
            self.send_state("positions")  # a handle that stands where compute failed comes back, too

    def set_state(self, sync_data: dict) -> None:
        """Take what the browser sends; ipywidgets calls this. Nobody catches an exception: it is shown."""
        with self._turn:
            try:
                positions = self.positions | sync_data["positions"]
                self._show({name: self._option(name, position) for name, position in positions.items()})
            except Exception as error:
                named = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                sentence = f"{named}{str(error).rstrip('.')}. The picture shows the last values that worked."
                self.answer = {**self.answer, "problem": sentence}
            else:
                super().set_state({"positions": positions})

    def _show(self, values: dict[str, Any]) -> None:
        numbers = self._compute(values)
        picture, caption = self._panel.update(numbers), self._describe(values, numbers)
        self.answer = {"picture": picture, "caption": caption, "problem": ""}

    def _control(self, name: str) -> Steps:
        if name not in self._controls:
            raise ValueError(f"This slider has {', '.join(self._controls)}, not {name}.")
        return self._controls[name]

    def _option(self, name: str, position: Any) -> Any:
        control = self._control(name)
        if type(position) is not int or not 0 <= position < len(control.options):
            raise ValueError(f"{name} has {len(control.options)} positions from 0, not {position!r}.")
        return control.options[position]

    def __repr__(self) -> str:
        """The widget in plain text: what a test compares, and what is read where no widget can be shown."""
        controls = [f"{n} {c} (now {c.texts[self.positions[n]]})" for n, c in self._controls.items()]
        return f"Slider: {'; '.join(controls)}. {self.answer['caption']}"
