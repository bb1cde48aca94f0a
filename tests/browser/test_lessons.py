"""Every notebook as a learner uses it: restarted and run, its sliders moved by keyboard and mouse, its content heard and tabbed."""

import nbformat
import pytest
import sliders
from axe_playwright_python.sync_playwright import Axe
from lab_page import NOTEBOOKS, SECONDS
from playwright.sync_api import expect
from sliders_moved import Moved, stored, text_of

pytestmark = pytest.mark.browser
every_lesson = pytest.mark.parametrize("lesson", [path.name for path in NOTEBOOKS], indirect=True)
every_slider = pytest.mark.parametrize(
    ("lesson", "cell", "source"),
    stored(),
    indirect=["lesson"],
    ids=[f"{name}-{i}" for name, i, _ in stored()],
)
(PLAIN,) = stored("A slider ")
(GAIN,) = (slider for slider in stored() if "gain_slider" in slider[-1])
the_gain_slider = pytest.mark.parametrize(
    ("lesson", "cell", "source"), [GAIN], indirect=["lesson"], ids=["gain"]
)

WIDGET = ".jp-OutputArea-output:not([data-mime-type])"  # everything else says what it is
WHOLE = "body { overflow: visible !important; } .jp-Cell { content-visibility: visible !important; }"
LOADED = "all => Promise.all(all.map(img => img.decode().then(() => img.naturalWidth > 0)))"
DESCRIBED = """img => {
    const caption = img.closest(".jp-OutputArea-child").nextElementSibling;
    return caption !== null && caption.checkVisibility() ? caption.innerText.trim() : "";
}"""


def original(lesson):
    return nbformat.read(next(path for path in NOTEBOOKS if path.name == lesson.name), as_version=4)


@every_lesson
def test_restart_and_run_all_works_and_shows_every_picture(lesson):
    outputs = [output for cell in original(lesson).cells for output in cell.get("outputs", ())]
    moving = sum(text_of(output).startswith("Slider: ") for output in outputs)
    expect(lesson.page.locator("figure.lessons-slider img[src]")).to_have_count(moving)
    pictures = lesson.page.locator(".jp-OutputArea-output img")
    loaded = pictures.evaluate_all(LOADED)
    assert loaded == [True] * (sum("image/png" in o.get("data", {}) for o in outputs) + moving)
    plain = sum(text_of(output).startswith("A slider ") for output in outputs)
    expect(lesson.page.locator(WIDGET)).to_have_count(moving + plain)


@every_slider
def test_picture_and_words_follow_each_control_by_keyboard_and_by_mouse(lesson, cell, source):
    """The oracle: a panel made anew and updated once with compute(values). PNG bytes, alternative text, caption, labels."""
    slider = Moved(lesson, cell, source)
    begin = slider.settled()
    assert text_of(original(lesson).cells[cell].outputs[0]).endswith(begin.caption)
    slider.watch()
    for control in slider.controls:
        start = control.place
        for move in (control.press_to, control.drag_to):
            for place in (*control.ends_and_middle(), start):
                move(place)
                assert control.place == place
                assert slider.settled() == slider.expected()
    assert slider.shown() == begin
    watched = slider.watched()
    assert watched["removed"] == 0
    assert len(watched["boxes"]) == 1


@every_slider
def test_each_control_is_reached_by_the_tab_key(lesson, cell, source):
    slider, keyboard = Moved(lesson, cell, source), lesson.page.keyboard
    slider.cell.locator(".cm-content").click()
    keyboard.press("Escape")  # to command mode, where Tab walks on
    for control in slider.controls:
        for _ in range(3):  # at most: JupyterLab puts the buttons of the cell's toolbar before the first
            keyboard.press("Tab")
            if control.node.evaluate("node => node === document.activeElement"):
                break
        else:
            raise AssertionError(f"{control.name} is not reached")


@pytest.fixture
def unrolled(lesson):
    """The lesson on a page so high that all of it is in view, its <details> open: axe judges no contrast it cannot see."""
    page = lesson.page
    usual = page.viewport_size
    page.add_style_tag(content=WHOLE)
    page.evaluate("() => document.querySelectorAll('.jp-Notebook details').forEach(d => { d.open = true; })")
    height = page.evaluate("() => document.querySelector('.jp-WindowedPanel-inner').offsetHeight")
    page.set_viewport_size({**usual, "height": height + 1000})
    page.wait_for_function(
        "height => document.querySelector('.jp-WindowedPanel-outer').clientHeight > height", arg=height
    )
    page.evaluate("() => { document.querySelector('.jp-WindowedPanel-outer').scrollTop = 0; }")
    yield lesson
    page.set_viewport_size(usual)


@every_lesson
def test_axe_finds_nothing_in_what_the_notebook_shows(unrolled):
    """Its texts and its outputs; editors and toolbars are JupyterLab's own, and so is how links look: coloured, without a line.

    JupyterLab drops the alternative text of a static picture: it counts as described where its caption follows, visibly.
    The handle of an ipywidgets slider cannot be given a name, as lesson 5 says where it makes one.
    """
    page, parts = unrolled.page, {"include": [[".jp-RenderedMarkdown"], [".jp-OutputArea-output"]]}
    found = Axe().run(page, context=parts, options={"resultTypes": ["violations", "passes"]}).response
    passed = {rule["id"]: len(rule["nodes"]) for rule in found["passes"]}
    assert passed["color-contrast"] > page.locator(".jp-RenderedMarkdown").count()  # it has looked
    violations = {rule["id"]: rule["nodes"] for rule in found["violations"]}
    violations.pop("link-in-text-block", None)
    for node in violations.pop("image-alt", ()):
        assert page.locator(node["target"][0]).evaluate(DESCRIBED), node["html"]
    handles = violations.pop("aria-input-field-name", ())
    assert [node["html"] for node in handles if "noUi-handle" not in node["html"]] == []
    assert {rule: [node["html"] for node in nodes] for rule, nodes in violations.items()} == {}


@the_gain_slider
def test_a_storm_of_moves_ends_at_the_last_one_and_leaves_nothing_behind(lesson, cell, source):
    """And the page keeps its pace in one of three storms at least: what else the machine does can only delay it."""
    slider = Moved(lesson, cell, source)
    gain, last = slider.controls[0], 0
    begin = gain.place
    assert begin != last
    gain.press_to(last)
    expected = slider.settled()
    gain.press_to(begin)
    slider.storm(gain, events=100, seconds=2, last=last)  # what is made once is made now: fonts, caches
    before = lesson.ask(MEMORY, "_memory()")
    tried, kept = [], False
    while not kept and len(tried) < 3:
        gain.press_to(begin)
        late = sorted(slider.storm(gain, events=1000, seconds=20, last=last))
        assert slider.settled(seconds=1) == expected
        tried.append((late[949], late[-1]))  # how late the events came, in milliseconds: 95 of 100, and all
        kept = late[949] < 50 and late[-1] < 500
    gain.press_to(begin)
    slider.settled()
    after = lesson.ask("", "_memory()")
    assert (after["figures"], after["pyplot"]) == (before["figures"], 0)
    assert after["megabytes"] - before["megabytes"] < 20
    assert kept, tried


USUAL_FLOOR = 30  # milliseconds, on the two quiet cores for which the limits are meant


@the_gain_slider
def test_the_picture_follows_a_key_at_once(floor, lesson, cell, source):
    """Within 80 ms in the median, 150 ms in 95 of 100; half as much again at most where the way to the kernel takes longer.

    The best of three: what else the machine does can only make it slower. `make bench` has all controls of all sliders.
    """
    slower = min(1.5, max(1, floor[0] / USUAL_FLOOR))
    slider, tried, fits = Moved(lesson, cell, source), [], False
    slider.settled()
    while not fits and len(tried) < 3:
        tried.append(sliders.summary(slider.waits(slider.controls[0], sliders.MOVES)))
        fits = tried[-1][0] <= 80 * slower and tried[-1][1] <= 150 * slower
    assert fits, (floor, tried)


@pytest.mark.parametrize(("lesson", "cell", "source"), [PLAIN], indirect=["lesson"], ids=["plain"])
def test_the_slider_made_of_plain_ipywidgets_follows_its_keys(lesson, cell, source):
    place = lesson.cell(cell)
    handle = place.get_by_role("slider")
    for key, value in (("End", 10), ("Home", -10), ("ArrowUp", -9.9)):
        handle.press(key)
        words = lesson.ask(f"_normal = Normalised()\n_normal.slider.value = {value}", "_normal.words.value")
        place.locator(".widget-html-content", has_text=words).wait_for(timeout=5 * SECONDS)


MEMORY = """
def _memory():
    import gc, sys
    import psutil
    from matplotlib.figure import Figure

    gc.collect()
    pyplot = sys.modules.get("matplotlib.pyplot")
    return {
        "megabytes": psutil.Process().memory_info().rss / 1e6,
        "figures": sum(isinstance(thing, Figure) for thing in gc.get_objects()),
        "pyplot": len(pyplot.get_fignums()) if pyplot else 0,
    }
"""
