"""What only a browser can show of the slider: dragging, keys JupyterLab also knows, a failing compute."""

from contextlib import closing

import pytest
from lab_page import Notebook

pytestmark = pytest.mark.browser

CELL = """\
import time
from lessons_lib.figures import new_figure
from lessons_lib.sliders import Choice, Panel, Range, Slider, Toggle

figure, axes = new_figure(4, 2)
axes.set(ylim=(0, 50))
(line,) = axes.plot([0, 1], [0, 0])
runs = []

def compute(values):
    runs.append(values)
    time.sleep(0.05)
    return 1 / (values["slope"] - 30) if values["inverse"] else values["slope"]

controls = [Range("slope", 0, 50), Choice("colour", ["blue", "red"]), Toggle("inverse")]
panel = Panel(figure, [line], lambda slope: line.set_ydata([0, slope]))
caption = "Slope {:g}, {}, picture {}."
Slider(controls, compute, panel, lambda values, slope: caption.format(slope, values["colour"], len(runs)))"""

DRAG = """async input => {
    const seen = [];
    for (let i = 1; i <= 40; i++) {
        input.value = i;
        input.dispatchEvent(new Event("input", { bubbles: true }));
        await new Promise(done => setTimeout(done, 10));
        if (input.value != i) seen.push(input.value);
    }
    return seen;
}"""


@pytest.fixture(scope="module")
def notebook(browser, lab):
    lab.write("widget.ipynb", CELL, "'a cell below'")
    with closing(Notebook(browser, lab, "widget.ipynb")) as notebook:
        notebook.restart_and_run_all()
        yield notebook


@pytest.fixture
def widget(notebook):
    """The slider, put back to where it starts."""
    widget = notebook.page.locator("figure.lessons-slider").first
    widget.get_by_role("checkbox", name="inverse").uncheck()
    widget.get_by_role("combobox", name="colour").select_option("blue")
    widget.get_by_role("slider", name="slope").fill("0")
    caption(widget, "Slope 0, blue").wait_for()
    yield widget
    assert notebook.errors == []


def caption(widget, text):
    return widget.locator("figcaption", has_text=text)


def test_a_dragged_slider_skips_what_it_cannot_draw_and_ends_at_the_newest(widget):
    first = int(caption(widget, "picture").inner_text().split()[-1].rstrip("."))
    jumped = widget.get_by_role("slider", name="slope").evaluate(DRAG)
    caption(widget, "Slope 40, blue").wait_for(timeout=1000)
    last = int(caption(widget, "picture").inner_text().split()[-1].rstrip("."))
    assert jumped == []
    assert 2 <= last - first <= 20


def test_keys_typed_on_a_control_are_no_commands_of_jupyterlab(widget):
    page = widget.page
    slider = widget.get_by_role("slider", name="slope")
    slider.focus()
    for key in ("x", "a", "d", "d", "End", "ArrowDown"):
        slider.press(key)
    caption(widget, "Slope 49, blue").wait_for()
    widget.get_by_role("combobox", name="colour").press("r")
    caption(widget, "Slope 49, red").wait_for()
    assert page.locator(".jp-Cell").count() == 2
    assert slider.get_attribute("aria-valuetext") == "49"
    assert widget.locator("output").inner_text() == "49"


def test_a_failing_compute_is_told_in_the_caption_and_keeps_the_picture(widget):
    picture, slider = widget.get_by_role("img"), widget.get_by_role("slider", name="slope")
    widget.get_by_role("checkbox", name="inverse").check()
    slider.fill("29")
    caption(widget, "Slope -1, blue").wait_for()
    before = picture.screenshot(), picture.get_attribute("alt")
    slider.press("ArrowRight")
    caption(
        widget, "ZeroDivisionError: division by zero. The picture shows the last values that worked."
    ).wait_for()
    assert (picture.screenshot(), picture.get_attribute("alt")) == before
    slider.press("ArrowRight")
    caption(widget, "Slope 1, blue").wait_for()
