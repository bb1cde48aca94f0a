"""A handout holds no solution and no output, keeps the hints, and destroys nobody's work."""

import json

import handout
import pytest
import solutions
from nbformat import v4
from private_home import ROOT

HEADER = "**Exercise 1.1** ●○○ 5 min. *Add.* Write it."
HINT = "<details><summary>It says zero</summary>Add something.</details>"
SOLUTION = (
    "<details><summary>Solution</summary>\n\n```python\ndef add(a):\n    return a + 41\n```\n\n</details>"
)
RECAP = "<details><summary>Why so?</summary>Because of 41 reasons.</details>"


def lesson(below=f"{HINT}\n{SOLUTION}", last=RECAP):
    stub, check = v4.new_code_cell("def add(a): ..."), v4.new_code_cell('check("1.1", add)')
    check.update(execution_count=7, outputs=[v4.new_output("stream", text="1.1 not attempted yet.")])
    cells = [
        v4.new_markdown_cell(HEADER),
        stub,
        check,
        v4.new_markdown_cell(below),
        v4.new_markdown_cell(last),
    ]
    return v4.new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )


@pytest.fixture
def originals(tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for name in ("01_first.ipynb", "02_second.ipynb"):
        (folder / name).write_text(v4.writes(lesson()), encoding="utf-8")
    return folder


def everything(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}


def test_solutions_and_outputs_go_and_hints_stay(originals, tmp_path):
    before = everything(originals)
    paths = handout.hand_out(originals, tmp_path / "deep" / "class")
    assert [path.name for path in paths] == ["01_first.ipynb", "02_second.ipynb"]
    assert everything(originals) == before
    for path in paths:
        cells = solutions.read(path).cells
        assert [cell.source for cell in cells] == [
            HEADER, "def add(a): ...", 'check("1.1", add)', HINT, RECAP,
        ]  # fmt: skip
        assert cells[2].outputs == []
        assert cells[2].execution_count is None
        assert "a + 41" not in path.read_text(encoding="utf-8")


def test_a_second_time_changes_nothing_and_a_newer_lesson_comes_through(originals, tmp_path):
    folder = tmp_path / "class"
    handout.hand_out(originals, folder)
    first = everything(folder)
    handout.hand_out(originals, folder)
    assert everything(folder) == first
    (originals / "01_first.ipynb").write_text(v4.writes(lesson(last="New.")), encoding="utf-8")
    handout.hand_out(originals, folder)
    assert solutions.read(folder / "01_first.ipynb").cells[-1].source == "New."


def edit(path):
    notebook = solutions.read(path)
    notebook.cells[1].source += "\n# my own words"
    path.write_text(v4.writes(notebook), encoding="utf-8")


def run(path):
    notebook = solutions.read(path)
    notebook.cells[2].outputs = [v4.new_output("stream", text="1.1 right.")]
    path.write_text(v4.writes(notebook), encoding="utf-8")


def damage(path):
    path.write_text("{", encoding="utf-8")


def foreign(path):
    path.write_text(v4.writes(lesson()), encoding="utf-8")


@pytest.mark.parametrize("touch", [edit, run, damage, foreign])
def test_what_somebody_has_changed_stops_everything_unless_forced(originals, tmp_path, touch):
    folder = tmp_path / "class"
    handout.hand_out(originals, folder)
    touch(folder / "02_second.ipynb")
    (folder / "01_first.ipynb").unlink()
    before = everything(folder)
    with pytest.raises(FileExistsError, match=r"changed since: 02_second\.ipynb\. Name another folder"):
        handout.hand_out(originals, folder)
    assert everything(folder) == before
    handout.hand_out(originals, folder, force=True)
    assert "41" not in solutions.read(folder / "02_second.ipynb").cells[3].source
    assert len(everything(folder)) == 2


def test_the_originals_are_never_written_over(originals):
    before = everything(originals)
    with pytest.raises(ValueError, match="cannot go where the notebooks themselves are"):
        handout.hand_out(originals, originals / ".." / "notebooks", force=True)
    assert everything(originals) == before


@pytest.mark.parametrize(
    ("below", "last"),
    [
        (f"{HINT}\n{SOLUTION}", "<details>\n<summary>Solution </summary>\nno end"),
        (f"{HINT}\n{SOLUTION}", "<details><summary>My solution</summary>a + 41</details>"),
        (f"{HINT}\n{SOLUTION}", SOLUTION),
        (HINT, RECAP),
        (f"{HINT}\n{HINT.replace('It says zero', 'solution')}\n{SOLUTION}", RECAP),
    ],
)
def test_a_solution_that_is_not_found_stops_everything(originals, tmp_path, below, last):
    path = originals / "02_second.ipynb"
    path.write_text(v4.writes(lesson(below, last)), encoding="utf-8")
    with pytest.raises(ValueError, match=r"^02_second\.ipynb: "):
        handout.hand_out(originals, tmp_path / "class")
    assert everything(tmp_path / "class") == {}


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "notebooks").mkdir()
    with pytest.raises(ValueError, match="There is no notebook in notebooks/"):
        handout.hand_out(tmp_path / "notebooks", tmp_path / "class")


def test_the_courses_own_notebooks_are_handed_out(tmp_path, capsys):
    folder = tmp_path / "class"
    assert handout.main([str(folder)]) == 0
    assert "without outputs and solutions" in capsys.readouterr().out
    for original in (ROOT / "notebooks").glob("*.ipynb"):
        text = (folder / original.name).read_text(encoding="utf-8")
        assert "solution</summary>" not in text.lower()
        assert not any(cell.get("outputs") for cell in json.loads(text)["cells"])
        assert text.count("<summary>") == original.read_text(encoding="utf-8").count("<summary>") - len(
            solutions.exercises(original)
        )
    (folder / "01_micrograd.ipynb").write_text("mine", encoding="utf-8")
    assert handout.main([str(folder)]) == 1
    assert capsys.readouterr().err.startswith(
        "Not written by this program, or changed since: 01_micrograd.ipynb."
    )
    assert handout.main([str(folder), "--force"]) == 0
