"""Lesson 1 in JupyterLab, from the copy a learner gets to the slider moved by keyboard."""

from pathlib import Path

import nbformat
import pytest

LESSON = Path(__file__).parents[2] / "notebooks" / "01_micrograd.ipynb"

pytestmark = pytest.mark.browser


def pictures_in(notebook):
    """How many pictures its cells show: those stored, and one for each slider, of which the file keeps the text."""
    bundles = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", ())]
    return sum("image/png" in data or data.get("text/plain", "").startswith("Slider: ") for data in bundles)


def test_the_slider_of_lesson_1_moves_by_keyboard(run_all):
    page, errors = run_all(LESSON)
    slider = page.get_by_role("slider", name="step")
    widget = page.locator("figure", has=slider)
    picture, caption = widget.locator("img[src]"), widget.locator("figcaption")
    picture.wait_for()
    alt, source, pixels = picture.get_attribute("alt"), picture.get_attribute("src"), picture.screenshot()

    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("([img, src]) => img.src != src", arg=[picture.element_handle(), source])

    assert picture.screenshot() != pixels
    assert alt.startswith("Start: profit changes by 1")
    assert picture.get_attribute("alt").startswith("profit is done and sends")
    assert picture.get_attribute("alt") == caption.inner_text()
    stored = nbformat.read(LESSON, as_version=4)
    shown = page.locator(".jp-OutputArea-output img").evaluate_all(
        "all => all.map(img => img.naturalWidth > 0)"
    )
    assert shown == [True] * pictures_in(stored)
    assert errors == []
