"""Chromium, one JupyterLab for all tests, and executed notebooks, as fixtures. All of it is skipped without Chromium."""

import sys
from pathlib import Path

import lab_page
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import sliders


def pytest_collection_modifyitems(items):
    """What is tried on a notebook stands together, so that each is executed once, and no two at a time."""
    items.sort(key=lambda item: str(item.callspec.params["lesson"]) if takes_a_lesson(item) else "")


def takes_a_lesson(item):
    return hasattr(item, "callspec") and "lesson" in item.callspec.params


@pytest.fixture(scope="session")
def browser():
    if lab_page.chromium_path() is None:
        pytest.skip("no Chromium")
    with lab_page.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    with lab_page.jupyterlab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="session")
def floor(browser, lab):
    """Milliseconds, median and 95th percentile, that a slider takes which computes and draws nothing."""
    return sliders.floor(browser, lab)


@pytest.fixture(scope="session")
def opened(browser, lab):
    """opened(name): the notebook of my/ on a page, the one open before it closed."""
    notebooks = []

    def opened(name):
        if not notebooks or notebooks[0].name != name:
            close()
            notebooks.append(lab_page.Notebook(browser, lab, name))
        return notebooks[0]

    def close():
        while notebooks:
            notebooks.pop().close()

    yield opened
    close()


@pytest.fixture
def lesson(request, opened):
    """A lesson after "Restart and run all". No test may leave an error in the browser's console."""
    notebook = opened(request.param)
    if not notebook.has_run:
        notebook.restart_and_run_all()
    yield notebook
    assert notebook.errors == []
