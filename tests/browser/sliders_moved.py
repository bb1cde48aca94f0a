"""A slider of the course on a page: moved by keyboard and mouse, its picture read and watched, and the oracle for it."""

import base64
import hashlib
import time
from dataclasses import dataclass
from functools import cache

import nbformat
from lab_page import NOTEBOOKS, Notebook
from playwright.sync_api import Locator

__all__ = ["Control", "Moved", "Shown", "stored", "text_of"]

THUMB = 16  # pixels: how wide Chromium draws the handle of a slider

# Notes every box that the picture has had in some frame, and whether it was ever taken out of the page.
WATCH = """figure => {
    const img = figure.querySelector("img");
    const seen = { boxes: new Set(), removed: 0 };
    window.watched = seen;
    new MutationObserver(records => records.forEach(({ removedNodes }) => removedNodes.forEach(node => {
        if (node.contains(img)) seen.removed += 1;
    }))).observe(document.body, { childList: true, subtree: true });
    const look = () => {
        if (window.watched !== seen) return;
        const { width, height } = img.getBoundingClientRect();
        seen.boxes.add([width, height, img.naturalWidth, img.naturalHeight].join(" "));
        requestAnimationFrame(look);
    };
    look();
}"""
PICTURE = """async img => {
    const bytes = new Uint8Array(await (await fetch(img.src)).arrayBuffer());
    return btoa(Array.from(bytes, byte => String.fromCharCode(byte)).join(""));
}"""
# From the key press, by the clock of the browser's own event, to the moment in which the new picture is decoded.
CLOCK = """(figure, control) => {
    const img = figure.querySelector("img");
    const waits = [];
    window.waits = waits;
    let pressed;
    control.addEventListener("keydown", event => { pressed = event.timeStamp; }, true);
    window.clock?.disconnect(); // or each clock would decode the next one's pictures, too
    window.clock = new MutationObserver(async () => {
        await img.decode();
        waits.push(performance.now() - pressed);
    });
    window.clock.observe(img, { attributeFilter: ["src"] });
}"""

# Moves a range through all its places, to and fro, at a steady pace, at last to one place, and notes how late the page was.
STORM = """async (range, { events, milliseconds, last }) => {
    const lates = [], begin = performance.now(), top = Number(range.max);
    for (let i = 1; i <= events; i++) {
        const due = begin + i * milliseconds / events, there = i % (2 * top);
        await new Promise(done => setTimeout(done, due - performance.now()));
        lates.push(performance.now() - due);
        range.value = i === events ? last : Math.min(there, 2 * top - there);
        range.dispatchEvent(new Event("input", { bubbles: true }));
    }
    return lates;
}"""

# Builds the slider of a cell anew, with nothing drawn yet (`Slider` draws its first picture in `_show`) and unknown to the
# page; in a copy of the notebook's names, so that the notebook stays as it is. JupyterLab lets a thread of its own answer
# the sliders on the page, which go on as they are.
FRESH = """
def _fresh_slider(source):
    import ast, threading
    from unittest import mock
    from lessons_lib.sliders import Slider

    body, space = ast.parse(source).body, dict(globals())
    last = ast.Expression(body.pop().value)
    here, show = threading.get_ident(), Slider._show

    def not_yet(slider, values):
        if threading.get_ident() != here:
            show(slider, values)

    with mock.patch.object(Slider, "_show", not_yet), mock.patch.object(Slider, "open"):
        exec(compile(ast.Module(body, []), "cell", "exec"), space)
        return eval(compile(last, "cell", "eval"), space)

def _fresh_picture(source, places):
    import hashlib

    slider = _fresh_slider(source)
    values = {name: slider._option(name, place) for name, place in places.items()}
    numbers = slider._compute(values)
    picture = slider._panel.update(numbers)
    return hashlib.sha256(picture).hexdigest(), slider._describe(values, numbers)
"""


@dataclass(frozen=True)
class Shown:
    """What a reader has before the eyes or is told: the picture (SHA-256 of the PNG), alt, caption, and each control's label."""

    picture: str
    alt: str
    caption: str
    labels: dict[str, str]


class Control:
    """One row of a slider. kind: range, choice or toggle; texts: what is shown for each of its places."""

    def __init__(self, slider: Locator, name: str, kind: str, texts: list[str]):
        role = {"range": "slider", "choice": "combobox", "toggle": "checkbox"}[kind]
        self.name, self.kind, self.texts = name, kind, texts
        self.node = slider.get_by_role(role, name=name, exact=True)

    @property
    def place(self) -> int:
        property = {"range": "valueAsNumber", "choice": "selectedIndex", "toggle": "checked"}[self.kind]
        return int(self.node.evaluate(f"node => node.{property}"))

    @property
    def label(self) -> str:
        """The value as it is written beside the control; where nothing is, as the control itself is read out."""
        if self.kind == "range":
            words = self.node.locator("xpath=../..").locator("output").inner_text()
            assert self.node.get_attribute("aria-valuetext") == words
            return words
        return self.texts[self.place]

    def ends_and_middle(self) -> list[int]:
        last = len(self.texts) - 1
        return sorted({0, last // 2, last})

    def press_to(self, place: int) -> None:
        """With nothing but keys, one step at a time or by the keys for the ends."""
        self.node.focus()
        keyboard, last = self.node.page.keyboard, len(self.texts) - 1
        if self.kind == "toggle":
            if place != self.place:
                keyboard.press("Space")
            return
        if place in (0, last):
            keyboard.press("Home" if place == 0 else "End")
        key = {"range": ("ArrowLeft", "ArrowRight"), "choice": ("ArrowUp", "ArrowDown")}[self.kind]
        for _ in range(abs(place - (now := self.place))):
            keyboard.press(key[place > now])

    def drag_to(self, place: int) -> None:
        """With the mouse: a handle is dragged, a box is clicked; a list has no handle, one of its options is taken."""
        if self.kind == "choice":
            self.node.select_option(index=place)
        elif self.kind == "toggle":
            self.node.set_checked(bool(place))
        else:
            mouse = self.node.page.mouse
            self.node.scroll_into_view_if_needed()
            mouse.move(*self._handle(self.place))
            mouse.down()
            mouse.move(*self._handle(place), steps=8)
            mouse.up()

    def _handle(self, place: int) -> tuple[float, float]:
        box = self.node.bounding_box()
        way = (box["width"] - THUMB) * place / (len(self.texts) - 1)
        return box["x"] + THUMB / 2 + way, box["y"] + box["height"] / 2


@cache
def stored(beginning: str = "Slider: ") -> list[tuple[str, int, str]]:
    """(notebook, cell, its code) for each output of the course whose text begins so: the file keeps the text of a slider only."""
    return [
        (path.name, i, cell.source)
        for path in NOTEBOOKS
        for i, cell in enumerate(nbformat.read(path, as_version=4).cells)
        if any(text_of(output).startswith(beginning) for output in cell.get("outputs", ()))
    ]


def text_of(output: nbformat.NotebookNode) -> str:
    return output.get("data", {}).get("text/plain", "")


class Moved:
    """The slider that a cell of an executed notebook shows. cell: its place in the notebook; source: its code."""

    def __init__(self, notebook: Notebook, cell: int, source: str):
        self.notebook, self.source = notebook, source
        self.cell = notebook.cell(cell)
        self.figure = self.cell.locator("figure.lessons-slider")
        self.picture, self.caption = self.figure.locator("img"), self.figure.locator("figcaption")
        self.figure.scroll_into_view_if_needed()
        self.figure.locator("img[src]").wait_for()
        notebook.ask(FRESH)
        described = notebook.ask("", f"_fresh_slider({source!r}).controls")
        self.controls = [Control(self.figure, **control) for control in described]
        self._expected = {}

    def places(self) -> dict[str, int]:
        return {control.name: control.place for control in self.controls}

    def shown(self) -> Shown:
        png = base64.b64decode(self.picture.evaluate(PICTURE))
        labels = {control.name: control.label for control in self.controls}
        alt, caption = self.picture.get_attribute("alt"), self.caption.text_content()
        return Shown(hashlib.sha256(png).hexdigest(), alt, caption, labels)

    def expected(self) -> Shown:
        """What a panel that was never drawn before shows for the values at which the controls stand."""
        places = self.places()
        if (key := tuple(places.values())) not in self._expected:
            picture, caption = self.notebook.ask("", f"_fresh_picture({self.source!r}, {places})")
            labels = {control.name: control.texts[places[control.name]] for control in self.controls}
            self._expected[key] = Shown(picture, caption, caption, labels)
        return self._expected[key]

    def settled(self, seconds: float = 5) -> Shown:
        """What is shown once that is what should be, or, for the assertion that then fails, after some seconds."""
        end, expected = time.monotonic() + seconds, self.expected()
        while (shown := self.shown()) != expected and time.monotonic() < end:
            time.sleep(0.02)
        return shown

    def watch(self) -> None:
        """From now on note every size of the picture, and its removal: what a reader would see as flicker."""
        self.figure.evaluate(WATCH)

    def watched(self) -> dict:
        """The sizes noted, and how often the picture was taken away."""
        return self.figure.evaluate(
            "() => { const { boxes, removed } = window.watched; window.watched = null; return { boxes: [...boxes], removed }; }"
        )

    def storm(self, control: Control, events: int, seconds: float, last: int) -> list[float]:
        """So many moves of a range in so many seconds, the last to this place; by how many milliseconds each came late."""
        wish = {"events": events, "milliseconds": 1000 * seconds, "last": last}
        return control.node.evaluate(STORM, wish)

    def waits(self, control: Control, moves: int) -> list[float]:
        """Milliseconds from the press of a key to the new picture, for moves to and fro over all the control's places."""
        self.figure.evaluate(CLOCK, control.node.element_handle())
        last, place, step = len(control.texts) - 1, control.place, 1
        for move in range(moves):
            step = -1 if place == last else 1 if place == 0 else step
            control.press_to(place := place + step)
            self.notebook.page.wait_for_function("moves => window.waits.length == moves", arg=move + 1)
        return self.figure.evaluate("() => window.waits")
