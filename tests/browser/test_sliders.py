"""Every slider of every notebook, after "Restart and run all": moved by keyboard and mouse, watched and compared."""

import nbformat
import pytest
from lab_page import NOTEBOOKS, Notebook

pytestmark = pytest.mark.browser


def shows(output, beginning):
    return output.get("data", {}).get("text/plain", "").startswith(beginning)


def interactive():
    """(notebook, cell, code) for each slider that the stored notebooks show, where the file keeps its text."""
    for path in NOTEBOOKS:
        for i, cell in enumerate(nbformat.read(path, as_version=4).cells):
            if any(shows(output, "Slider: ") for output in cell.get("outputs", ())):
                yield pytest.param(path.name, i, cell.source, id=f"{path.stem}-{i}")


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def lesson(request, browser, lab):
    notebook = Notebook(browser, lab, request.param.name)
    notebook.restart_and_run_all()
    yield notebook
    notebook.close()
