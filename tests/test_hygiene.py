"""Every notebook is clean, every rule of hygiene.py catches what it is for, and none cries wolf."""

import copy
from pathlib import Path

import hygiene
import pytest
import solutions
from nbformat import NotebookNode, v4

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))

CAPTION = "The loss falls from 3.5 to 2.1 nats, i.e. by 40%."
VISIBLE = "<p><em>The loss falls from 3.5 to 2.1 nats, i.e. by 40%.</em></p>"
PROSE = """![the curve](images/loss.png) and <img src="a.png" alt="a curve">, see https://example.org/home/x.

```markdown
![](https://example.org/picture.png)
```

**Exercise 0.1** ●●○ 5 min. Add two numbers; `![]()` is how to show a picture."""
QUIET = """def report(add):
    print(add)  # no answer to an exercise; the semicolon of a comment;

if not report:
    show(1); check(2)
text = "clear_output();\""""
ANSWERS = """<details><summary>The check says "a - b"</summary>Mind the sign.</details>
<details><summary>Solution</summary>

```python
def add(a, b):
    return a + b
```
</details>"""


def test_there_are_notebooks():
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_every_notebook_is_clean(path):
    assert hygiene.problems(solutions.read(path), path) == []


@pytest.fixture
def clean() -> NotebookNode:
    """A notebook that comes as near to breaking every rule as a good one may."""
    widget = {"text/plain": "A slider: gain (0.1 to 5) = 1"}
    cells = [
        v4.new_markdown_cell(PROSE),
        v4.new_code_cell("def add(a, b):\n    ..."),
        printed('check("0.1", add)', "0.1 not attempted yet. Write the body of add.\n"),
        v4.new_markdown_cell(ANSWERS),
        printed("print(hex(31), 1); x = 1", "0x1f of /homes and a/home/b\n"),
        v4.new_code_cell("show(figure, caption)", outputs=figure(CAPTION, VISIBLE)),
        v4.new_code_cell("Slider(0.1, 5)", outputs=[v4.new_output("display_data", widget)]),
        v4.new_code_cell(QUIET),
        v4.new_code_cell("\n\n".join(f"x{i} = {i}" for i in range(40))),
        *(v4.new_code_cell("\n".join(f"y{i} = {i}" for i in range(19))) for _ in range(3)),
    ]
    notebook = v4.new_notebook(cells=cells)
    notebook.metadata = NotebookNode(
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        language_info={"name": "python"},
    )
    for number, cell in enumerate(cells, start=1):
        cell.id = f"cell-{number:03d}"
    for count, cell in enumerate((c for c in cells if c.cell_type == "code"), start=1):
        cell.execution_count = count
    return notebook


def printed(source: str, text: str) -> NotebookNode:
    return v4.new_code_cell(source, outputs=[v4.new_output("stream", text=text)])


def figure(caption: str, line: str) -> list[NotebookNode]:
    """What `show` leaves; the picture's base64 happens to spell an address and a path."""
    picture = {"image/png": "aGk/home/0xabcdef0/tmp/", "text/plain": caption}
    return [v4.new_output("display_data", d) for d in (picture, {"text/html": line, "text/plain": caption})]


def found_in(notebook: NotebookNode, folder: Path) -> list[str]:
    path = folder / "00_start_here.ipynb"
    path.write_text(v4.writes(notebook), encoding="utf-8")
    return hygiene.problems(solutions.read(path), path)


def test_the_clean_notebook_has_no_problem(clean, tmp_path):
    assert found_in(clean, tmp_path) == []


def strip(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)


def silence(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[])


# Cells are counted from 0 in these tables; the sentences count them from 1.
IN_THE_FILE = [
    ("bytes; 3,000,000 are allowed", lambda nb: nb.cells[0].update(source=PROSE + "x" * 3_000_000)),
    ("no valid notebook", lambda nb: nb.cells[0].update(outputs=[])),
    ("kernelspec is not python3", lambda nb: nb.metadata.kernelspec.update(name="course")),
    ("holds a version of Python", lambda nb: nb.metadata.language_info.update(version="3.11.2")),
    ("metadata.widgets is stored:", lambda nb: nb.metadata.update(widgets={"state": {}})),
    ("metadata.widgets has no `state`", lambda nb: nb.metadata.update(widgets={})),
    ("notebook's metadata holds a path", lambda nb: nb.metadata.update(was=["C:\\Users\\ada"])),
    ("ids are not unique", lambda nb: nb.cells[0].update(id="cell-002")),
    ("ids are not unique", lambda nb: nb.cells[0].update(id="")),
    ("ids are not unique", lambda nb: nb.cells[0].pop("id")),
    ("Code cell 4 has execution count 5, not 4", lambda nb: nb.cells.insert(5, nb.cells.pop(6))),
    ("Code cell 10 has execution count 11, not 10", lambda nb: nb.cells[-1].update(execution_count=11)),
    ("Code cell 1 has execution count None, not 1", strip),
    ("No cell has an output", silence),
    ("Cell 9: 41 lines of code", lambda nb: nb.cells[8].update(source=nb.cells[8].source + "\nz = 1")),
    ("Cells [9, 10]: 20 lines or more", lambda nb: nb.cells[9].update(source=nb.cells[9].source + "\nz = 1")),
    ("Cell 1: its metadata holds when", lambda nb: nb.cells[0].metadata.update(execution={"shell": "12:00"})),
    ("Cell 1: its metadata holds a path", lambda nb: nb.cells[0].metadata.update(file="/home/ada/x.py")),
    ("Cell 5: a comment or tag", lambda nb: nb.cells[4].metadata.update(tags=["nbval-skip"])),
    ("Cell 5: a comment or tag", lambda nb: nb.cells[4].metadata.update(tags=["raises-exception"])),
    ("Cell 5: it calls print, yet", lambda nb: nb.cells[4].update(outputs=[])),
    ("a solution that belongs to no exercise", lambda nb: nb.cells.append(v4.new_markdown_cell(ANSWERS))),
    ("0.1 lacks its stub", lambda nb: nb.cells.insert(20, nb.cells.pop(0))),
    ("no stub: one function add", lambda nb: nb.cells.__setitem__(1, v4.new_markdown_cell("def add(): ..."))),
    ("no stub: one function add", lambda nb: nb.cells[1].update(source="define add")),
    ("no markdown with hints", lambda nb: nb.cells.pop(3)),
    ("Cell 3: it calls check, yet", lambda nb: nb.cells[2].update(outputs=[])),
    ("Cell 6: it calls show, yet", lambda nb: nb.cells[5].update(outputs=[])),
]


@pytest.mark.parametrize(("said", "spoil"), IN_THE_FILE)
def test_a_spoilt_file_is_reported(said, spoil, clean, tmp_path):
    spoil(clean)
    assert said in " ".join(found_in(clean, tmp_path))


SOURCES = [
    ("a comment or tag", "# NBVAL_IGNORE_OUTPUT\nprint(1)"),
    ("a comment or tag", "print(1)  # NBVAL_SKIP: slow"),
    ("it ends in `;`", "plot(x);  # quiet"),
    ("not plain Python", "%time\nprint(1)"),
    ("not plain Python", "!ls"),
    ("clear_output replaces", "for i in range(3):\n    display.clear_output()"),
    ("interact replaces", "@interact(x=(0, 1))\ndef draw(x):\n    print(x)"),
    ("interact replaces", "@widgets.interact\ndef draw(x):\n    print(x)"),
    ("Output replaces", "out = widgets.Output()"),
    ("a display with display_id", 'handle = display("a", display_id=True)'),
]


@pytest.mark.parametrize(("said", "source"), SOURCES)
def test_code_that_nbval_cannot_follow_is_reported(said, source, clean, tmp_path):
    clean.cells[4].source = source
    assert [said in problem for problem in found_in(clean, tmp_path)] == [True]


def test_a_loop_that_prints_must_have_printed(clean, tmp_path):
    clean.cells[7].source = "for i in range(3):\n    with quiet():\n        predict(i)"
    assert found_in(clean, tmp_path) == ["Cell 8: it calls predict, yet no output is stored."]


def data(**kinds) -> NotebookNode:
    names = {"svg": "image/svg+xml", "widget": hygiene.WIDGET, "html": "text/html", "plain": "text/plain"}
    return v4.new_output("display_data", {names[kind]: value for kind, value in kinds.items()})


VIEW = {"model_id": "7f"}
OUTPUTS = [
    ("it stored an error, KeyError", v4.new_output("error", ename="KeyError", evalue="'a'", traceback=[])),
    ("text on stderr", v4.new_output("stream", name="stderr", text="100%")),
    ("a memory address", v4.new_output("stream", text="[<Line2D at 0x7f3a2b10>]")),
    ("a memory address", data(html="<b>0x7F3A2B10</b>", plain="b")),
    ("a path of a machine", v4.new_output("stream", text="saved in /home/ada/course")),
    ("a path of a machine", v4.new_output("stream", text="(/tmp/a.png)")),
    ("a path of a machine", data(plain="'C:\\\\course'")),
    ("a path of a machine", data(html="<i>/Users/ada</i>", plain="i")),
    ("a path of a machine", v4.new_output("stream", text="python3.11/site-packages/torch")),
    ("a path of a machine", v4.new_output("stream", text=f"{hygiene.ROOT}/data")),
    ("the view of a widget is stored", data(widget=VIEW, plain="A slider: gain (0.1 to 5) = 1")),
    ("a widget is shown as its repr", data(plain="Output()")),
    ("a widget is shown as its repr", data(plain="interactive(children=(FloatSlider(value=1.0")),
    ("an output without text/plain", data(html="<b>1</b>")),
    ("an output without text/plain", data(plain=" ")),
    ("a picture without alt text", data(html="<img src='a.png'>", plain="a")),
]


@pytest.mark.parametrize(("said", "output"), OUTPUTS)
def test_an_output_that_cannot_be_compared_is_reported(said, output, clean, tmp_path):
    clean.cells[4].outputs = [copy.deepcopy(output)]
    assert [said in problem for problem in found_in(clean, tmp_path)] == [True]


@pytest.mark.parametrize("text", ["", "Output()", "Slider(gain=1.0)", "<lessons_lib.sliders.Slider object>"])
def test_a_widget_without_a_text_of_its_own_is_reported(text, clean, tmp_path):
    clean.cells[6].outputs = [data(widget=VIEW, plain=text)]
    assert "a widget without a stable text" in " ".join(found_in(clean, tmp_path))


def test_an_svg_picture_is_reported(clean, tmp_path):
    clean.cells[5].outputs[0].data = NotebookNode({"image/svg+xml": "<svg/>", "text/plain": CAPTION})
    assert "an SVG picture" in " ".join(found_in(clean, tmp_path))


FIGURES = [
    ("a figure without a caption", figure("", "")[:1]),
    ("a figure without a caption", figure("<Figure size 960x360 with 1 Axes>", "")),
    ("is not one sentence", figure("The loss falls.", "<p>The loss falls.</p>")),
    ("is not one sentence", figure("It falls to 2.1. It stays.", "It falls to 2.1. It stays.")),
    ("is not one sentence", figure("It falls\nto 2.1.", "It falls\nto 2.1.")),
    ("is not one sentence", figure("It falls to 2.1", "It falls to 2.1")),
    ("does not follow it as a visible line", figure(CAPTION, VISIBLE)[:1]),
    ("does not follow it as a visible line", figure(CAPTION, VISIBLE.replace("2.1", "2.2"))),
    ("does not follow it as a visible line", [figure(CAPTION, "")[0], figure("1.", VISIBLE)[1]]),
]


@pytest.mark.parametrize(("said", "outputs"), FIGURES)
def test_a_figure_that_is_not_described_is_reported(said, outputs, clean, tmp_path):
    clean.cells[5].outputs = copy.deepcopy(outputs)
    assert [said in problem for problem in found_in(clean, tmp_path)] == [True]


PICTURES = [
    ("a picture without alt text", "![](images/a.png)"),
    ("a picture without alt text", "![ ][a]"),
    ("a picture without alt text", "<img src='a.png'>"),
    ("a picture without alt text", "<img src='a.png' alt=''>"),
    ("a picture fetched from elsewhere", "![a](https://example.org/a.png)"),
    ("a picture fetched from elsewhere", "![a](//example.org/a.png)"),
    ("a picture fetched from elsewhere", "<img alt='a' src='https://example.org/a.png'>"),
]


@pytest.mark.parametrize(("said", "markdown"), PICTURES)
def test_a_picture_that_not_everyone_gets_is_reported(said, markdown, clean, tmp_path):
    clean.cells[0].source = f"Text.\n\n{markdown}\n\n{PROSE}"
    assert [said in problem for problem in found_in(clean, tmp_path)] == [True]


LATER = "print(add(1, 2))"
EXERCISES = [  # the cell, what to replace in it, by what
    ("an exercise header is one line", 0, "●●○", "●○●"),
    ("an exercise header is one line", 0, "5 min.", "5 minutes."),
    ("an exercise header is one line", 0, "**Exercise 0.1**", "### Exercise 0.1"),
    ("an exercise header is one line", 0, "Add two", "Add\n\n**Exercise 0.2** ●○○ 1 min. Add two"),
    ("exercise 0.2 stands where 0.1 is due", 0, "0.1", "0.2"),
    ("the next cell is no stub", 1, "...", "return a + b"),
    ("the next cell is no stub", 1, "def add", "def plus"),
    ("the next cell is no stub", 1, "    ...", "    ...\ndef plus(a, b):\n    ..."),
    ("no check cell `check", 2, 'check("0.1", add)', 'check("0.2", add)'),
    ("no check cell `check", 2, 'check("0.1", add)', 'check("0.1", lambda: 1)'),
    ("no check cell `check", 2, 'check("0.1", add)', 'print(1)'),
    ("one hint or more", 3, "<details><summary>The check says \"a - b\"</summary>Mind the sign.</details>", ""),
    ("one hint or more", 3, "Solution", "Answer"),
    ("one hint or more", 3, "</details>\n<details>", "</details><details><summary>Solution</summary></details>\n<details>"),
    ("lacks its <summary>", 3, "```\n</details>", "```\n"),
    ("exactly one ```python block", 3, "```python", "```"),
    ("exactly one ```python block", 3, "```\n</details>", "```\n\n```python\n1\n```\n</details>"),
    ("without a blank line", 3, "\n\n```python", "\n```python"),
    ("needs add of exercise 0.1", 4, "x = 1", "x = add(1, 2)"),
    ("a check that belongs to no exercise", 4, "print(", "check("),
]  # fmt: skip


@pytest.mark.parametrize(("said", "cell", "old", "new"), EXERCISES)
def test_an_exercise_out_of_form_is_reported(said, cell, old, new, clean, tmp_path):
    number = "0.2" if "0.2 stands" in said else "0.1"
    assert old in clean.cells[cell].source
    clean.cells[cell].source = clean.cells[cell].source.replace(old, new)
    if number == "0.2":
        clean.cells[2].source = 'check("0.2", add)'
    assert [said in problem for problem in found_in(clean, tmp_path)] == [True]


@pytest.mark.parametrize("anew", ["def add(a, b):\n    return a + b", "add = max"])
def test_a_name_that_the_lesson_defines_anew_is_its_own(anew, clean, tmp_path):
    clean.cells[7].source = anew
    clean.cells[8].source = "x = add(1, 2)"
    assert found_in(clean, tmp_path) == []
