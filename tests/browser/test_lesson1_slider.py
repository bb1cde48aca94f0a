"""Lesson 1 in JupyterLab, from the copy a learner gets to the slider moved by keyboard."""

from pathlib import Path

import nbformat
import pytest

LESSON = Path(__file__).parents[2] / "notebooks" / "01_micrograd.ipynb"
WIDGET = "application/vnd.jupyter.widget-view+json"

pytestmark = pytest.mark.browser


def outputs_of(notebook, kind):
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return sum(kind in output.get("data", {}) for output in outputs)


def test_the_slider_of_lesson_1_moves_by_keyboard(run_all):
    page, errors = run_all(LESSON)
    slider = page.get_by_role("slider", name="step")
    widget = page.locator("figure", has=slider)
    picture, caption = widget.get_by_role("img"), widget.locator("figcaption")
    picture.wait_for()
    alt, source, pixels = picture.get_attribute("alt"), picture.get_attribute("src"), picture.screenshot()

    slider.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "([img, src]) => img.src != src && img.complete", arg=[picture.element_handle(), source]
    )

    assert picture.screenshot() != pixels
    assert picture.get_attribute("alt").strip() not in ("", alt)
    assert picture.get_attribute("alt") == caption.inner_text()
    assert page.locator('[data-mime-type="application/vnd.jupyter.error"]').count() == 0
    stored = nbformat.read(LESSON, as_version=4)
    shown = page.locator(".jp-OutputArea-output img").evaluate_all(
        "all => all.map(img => img.naturalWidth > 0)"
    )
    assert shown == [True] * (outputs_of(stored, "image/png") + outputs_of(stored, WIDGET))
    assert errors == []
