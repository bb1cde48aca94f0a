"""Refreshing a notebook: what is stored, what is not, and that a second time changes nothing."""

import os
import subprocess
import sys
from pathlib import Path

import hygiene
import pytest
import refresh
import solutions
from nbformat import NotebookNode, v4

IMPORTS = """import os, sys
from pathlib import Path

import ipywidgets
from IPython.display import display
from lessons_lib.figures import new_figure, show"""
WHERE = """names = ["LESSONS_THREADS", "TQDM_DISABLE"]
home = Path.home()
print(Path.cwd().name, [os.environ.get(n) for n in names], home.name[:13], os.listdir(home))"""
FIGURE = """figure, axes = new_figure()
axes.plot([1, 2])
show(figure, "A line from 1 to 2.")"""
SLIDER = """class Slider(ipywidgets.IntSlider):
    def __repr__(self):
        return "A slider: gain (0 to 5) = 1"


Slider()"""
STREAMS = """for i in range(3):
    print(i, flush=True)
print("é", file=sys.stderr)
print(3)
i"""


def notebook(*sources: str) -> NotebookNode:
    """As an editor could have left it: random ids, a version, a widget's state, timing, old outputs."""
    cells = [v4.new_markdown_cell("# Größe"), *(v4.new_code_cell(source) for source in sources)]
    for cell in cells:
        cell.metadata.update(execution={"shell.execute_reply": "12:00"}, collapsed=True, tags=["kept"])
    for cell in cells[1:]:
        cell.update(execution_count=7, outputs=[v4.new_output("stream", text="old")])
    made = v4.new_notebook(cells=cells)
    made.metadata = NotebookNode(widgets={}, language_info={"name": "python", "version": "3.9.1"})
    return made


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    """The same two notebooks refreshed twice, a good one and one that fails: (folder, bytes, processes)."""
    folder = tmp_path_factory.mktemp("lessons")
    good, bad = folder / "00_good.ipynb", folder / "01_bad.ipynb"
    # A cell that is empty is not run: its old outputs must not stay.
    good.write_text(v4.writes(notebook(IMPORTS, WHERE, FIGURE, SLIDER, STREAMS, "")), encoding="utf-8")
    bad.write_text(v4.writes(notebook("x = 1", "print(x)\nx / 0")), encoding="utf-8")
    stored, processes = [(good.read_bytes(), bad.read_bytes())], []
    for _ in range(2):
        process = subprocess.run(
            [sys.executable, refresh.__file__, good, bad],
            env=os.environ | {"LESSONS_THREADS": "2", "TQDM_DISABLE": "0"},
            capture_output=True,
            encoding="utf-8",
        )
        processes.append(process)
        stored.append((good.read_bytes(), bad.read_bytes()))
    return folder, stored, processes


def texts(cell: NotebookNode) -> list[str]:
    return [output.get("text") or output.data["text/plain"] for output in cell.outputs]


def test_refreshing_twice_changes_no_byte(refreshed):
    _, [before, once, twice], _ = refreshed
    assert before[0] != once[0] == twice[0]


def test_a_cell_that_fails_is_named_and_its_file_stays_as_it_was(refreshed):
    folder, [before, once, _], [process, _] = refreshed
    assert process.returncode == 1
    assert "01_bad.ipynb is left as it was: cell 3:" in process.stderr
    assert "ZeroDivisionError: division by zero" in process.stderr
    assert "\x1b" not in process.stderr
    assert once[1] == before[1]
    assert sorted(path.name for path in folder.iterdir()) == ["00_good.ipynb", "01_bad.ipynb"]


def test_seconds_and_memory_are_told(refreshed):
    _, _, [process, _] = refreshed
    name, seconds, s, megabytes, mb = process.stdout.split()
    assert (name, s, mb) == ("00_good.ipynb", "s", "MB")
    assert 0 < float(seconds) < 60
    assert 40 < float(megabytes) < 2000


def test_a_kernel_runs_in_the_notebooks_folder_with_an_empty_home(refreshed):
    folder, _, _ = refreshed
    [text] = texts(solutions.read(folder / "00_good.ipynb").cells[2])
    assert text.startswith(f"{folder.name} [None, '1'] lessons-home-")
    assert "config" not in text  # nothing of the user's


def test_only_what_repeats_is_stored(refreshed):
    folder, [_, (stored, _), _], _ = refreshed
    good = solutions.read(folder / "00_good.ipynb")
    assert good.metadata == refresh.METADATA
    assert [cell.id for cell in good.cells] == [f"cell-00{i}" for i in range(1, 8)]
    assert all(cell.metadata == {"tags": ["kept"]} for cell in good.cells)
    assert [cell.execution_count for cell in good.cells[1:]] == [1, 2, 3, 4, 5, None]
    assert texts(good.cells[3]) == ["A line from 1 to 2."] * 2
    assert texts(good.cells[4]) == ["A slider: gain (0 to 5) = 1"]
    assert list(good.cells[4].outputs[0].data) == ["text/plain"]
    assert texts(good.cells[5]) == ["0\n1\n2\n3\n", "é\n", "2"]
    assert good.cells[6].outputs == []
    assert stored.decode("utf-8").startswith('{\n "cells": [\n  {\n')
    assert "Größe" in stored.decode("utf-8")
    assert stored.endswith(b"}\n")
    assert b"\r" not in stored


TRAINING = """import torch
from lessons_lib.training import Training

model = torch.nn.Linear(2, 2)
train = torch.zeros(8, 2), torch.zeros(8, dtype=torch.int64)
Training(model, torch.optim.SGD(model.parameters()), train, epochs=1, batch=4, rate=0.1).run()"""


def test_a_training_run_stores_no_progress_bar(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text(v4.writes(notebook(TRAINING)), encoding="utf-8")
    [text] = texts(refresh.execute(path).notebook.cells[1])
    assert text.startswith("History of 2 steps: loss ")


@pytest.mark.parametrize("text", ["", "Output()", "<Slider object>"])
def test_a_widget_without_a_text_of_its_own_is_refused(text):
    made = notebook("slider")
    made.cells[1].outputs = [v4.new_output("display_data", {hygiene.WIDGET: {}, "text/plain": text})]
    with pytest.raises(RuntimeError, match="cell 2: a widget without a stable text"):
        refresh.tidy(made)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError("no space left")

    path = tmp_path / "a.ipynb"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        refresh.save(notebook("1"), path)
    assert [p.read_text(encoding="utf-8") for p in tmp_path.iterdir()] == ["old"]
