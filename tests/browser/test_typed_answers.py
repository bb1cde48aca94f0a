"""An exercise typed into JupyterLab: wrong, endless and right answers, their messages, and the progress on the first page."""

import re
import shutil
from contextlib import closing

import lab_page
import pytest
import solutions
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

FIRST_PAGE, LESSON = lab_page.NOTEBOOKS[:2]
EXERCISE = solutions.exercises(LESSON)[0]


@pytest.fixture
def notebook(browser, lab):
    """notebook(path): a copy of its own of a lesson, on a page; no test may leave an error in the browser's console."""
    opened = []

    def notebook(path):
        copy = lab.folder / f"copy_of_{path.name}"
        shutil.copy(lab.folder / path.name, copy)
        opened.append(lab_page.Notebook(browser, lab, copy.name))
        return opened[-1]

    yield notebook
    for one in opened:
        with closing(one):
            assert one.errors == []


def run(notebook, cell):
    """Click into the cell, run it, and wait until it has run: what it said before may be what it says again."""
    prompt = notebook.cell(cell).locator(".jp-InputPrompt")
    before = prompt.inner_text()
    notebook.cell(cell).locator(".cm-content").click()
    notebook.page.keyboard.press("Control+Enter")
    expect(prompt).not_to_have_text(before)
    expect(prompt).to_have_text(re.compile(r"\[\d+\]"), timeout=30 * lab_page.SECONDS)


def says(notebook, cell, words):
    expect(notebook.cell(cell).locator(".jp-OutputArea-output", has_text=words)).to_be_visible()


def answer(notebook, body):
    """Type the function anew, key by key, where the stub stands (JupyterLab indents by itself), and have it checked."""
    notebook.cell(EXERCISE.cell).locator(".cm-content").click()
    notebook.page.keyboard.press("Control+a")
    head = EXERCISE.stub.splitlines()[0]
    notebook.page.keyboard.type("\n".join([head, *map(str.strip, body.splitlines())]))
    notebook.page.keyboard.press("Control+Enter")
    run(notebook, EXERCISE.cell + 1)


def test_wrong_endless_and_right_answers_are_told_apart_and_the_right_one_is_noted(notebook):
    first_page, lesson = notebook(FIRST_PAGE), notebook(LESSON)
    progress, check = source_of(FIRST_PAGE, "progress()"), EXERCISE.cell + 1
    run(first_page, source_of(FIRST_PAGE, "from "))
    run(first_page, progress)
    says(first_page, progress, "No exercise solved yet.")

    run(lesson, source_of(LESSON, "import "))
    run(lesson, EXERCISE.cell)
    run(lesson, check)
    says(lesson, check, f"{EXERCISE.number} not attempted yet.")
    answer(lesson, "return (f(x + h) - f(x)) / h")
    says(lesson, check, "forward difference")
    answer(lesson, "while True:\nx = x + h")
    says(lesson, check, "10 seconds of this check were over")
    run(first_page, progress)
    says(first_page, progress, "No exercise solved yet.")

    answer(lesson, EXERCISE.solution.partition("\n")[2])
    says(lesson, check, f"{EXERCISE.number} right.")
    run(first_page, progress)
    says(first_page, progress, "Lesson 1: ●○")


def source_of(path, beginning):
    """The place of the first code cell that begins so."""
    cells = solutions.read(path).cells
    return next(i for i, c in enumerate(cells) if c.cell_type == "code" and c.source.startswith(beginning))
