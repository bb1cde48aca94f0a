"""The notebooks as a page without scripts, as GitHub and paper show them: each slider is a sentence and a static picture."""

from contextlib import closing

import pytest
import solutions
from lab_page import NOTEBOOKS
from nbconvert import HTMLExporter
from sliders_moved import stored

pytestmark = pytest.mark.browser

BROKEN = (
    "Error displaying widget",
    "Loading widget",
    "model_id",
    "interactive(children",
    "Output()",
    "VBox(",
    "HBox(",
)
PICTURE = ".jp-OutputArea-output img"
STAND = """all => all.map(img => {
    const { width, height } = img.getBoundingClientRect();
    return img.complete && img.naturalWidth > 0 && width > 100 && height > 50;
})"""


@pytest.fixture
def page(browser):
    with closing(browser.new_context(java_script_enabled=False, offline=True)) as context:
        yield context.new_page()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_without_scripts_each_slider_is_a_sentence_beside_a_static_picture(path, page, tmp_path):
    (tmp_path / "page.html").write_text(HTMLExporter().from_filename(path)[0], encoding="utf-8")
    page.goto((tmp_path / "page.html").as_uri(), wait_until="load")
    words = page.locator("body").inner_text()
    assert [broken for broken in BROKEN if broken in words] == []
    pictures = page.locator(PICTURE).evaluate_all(STAND)
    assert pictures == [True] * len(pictures)
    assert page.locator(".jp-Cell").count() == len(solutions.read(path).cells)
    for beginning in ("Slider: ", "A slider from "):
        for cell in (cell for name, cell, _ in stored(beginning) if name == path.name):
            here = page.locator(".jp-Cell").nth(cell)
            assert here.locator(".jp-OutputArea-output", has_text=beginning).is_visible()
            around = (page.locator(".jp-Cell").nth(place) for place in (cell - 1, cell + 1, cell + 2))
            assert beginning != "Slider: " or any(near.locator(PICTURE).count() for near in around)
