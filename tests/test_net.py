"""The net catches: copies of a real notebook, each spoilt in one way, and which of the two meshes holds it.

Strict nbval runs the cells and compares what they print with what is stored. Hygiene reads the file only. What a run
could never contradict, because the run itself is as the file says, only hygiene can hold.
"""

import copy
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import hygiene
import pytest
import solutions
from nbformat import NotebookNode, v4
from nbval.plugin import get_sanitize_patterns

ROOT = Path(__file__).parent.parent
ORIGINAL = ROOT / "notebooks" / "00_start_here.ipynb"
SANITIZER = ROOT / "tests" / "nbval.cfg"


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def first(notebook: NotebookNode, fits: Callable[[NotebookNode], bool]) -> tuple[int, NotebookNode]:
    """The first output that fits, and the number of its code cell, from 0 as nbval counts them."""
    for number, cell in enumerate(code_cells(notebook)):
        for output in cell.outputs:
            if fits(output):
                return number, output
    raise ValueError(f"{ORIGINAL.name} has no such output: refresh it, or take another notebook")


def next_digit(text: str) -> str:
    """The same text with its last digit moved on by one."""
    return re.sub(r"\d(?=\D*$)", lambda digit: str((int(digit[0]) + 1) % 10), text)


def change_a_digit(notebook: NotebookNode) -> set[int]:
    number, output = first(notebook, lambda o: re.search(r"\d", o.get("text", "")))
    output.text = next_digit(output.text)
    return {number}


def change_a_caption(notebook: NotebookNode) -> set[int]:
    """In picture and line alike, as if the result had been another one."""
    number, output = first(notebook, lambda o: "image/png" in o.get("data", {}))
    caption = output.data["text/plain"]
    for shown in code_cells(notebook)[number].outputs:
        shown.data = {kind: text.replace(caption, next_digit(caption)) for kind, text in shown.data.items()}
    return {number}


def is_slider(output: NotebookNode) -> bool:
    return output.get("data", {}).get("text/plain", "").startswith("Slider: ")


def lose_the_widgets_text(notebook: NotebookNode) -> set[int]:
    """As the widget would be stored if it had no text of its own."""
    number, output = first(notebook, is_slider)
    output.data = {
        hygiene.WIDGET: {"model_id": "1f"},
        "text/plain": "<lessons_lib.sliders.Slider at 0x7f2bb1358e48>",
    }
    return {number}


def lose_the_caption(notebook: NotebookNode) -> set[int]:
    """As the cell would be stored if it showed the figure by itself."""
    number, output = first(notebook, lambda o: "image/png" in o.get("data", {}))
    cell = code_cells(notebook)[number]
    cell.source = (
        cell.source[: cell.source.rindex("show(")] + "from IPython.display import display\n\ndisplay(figure)"
    )
    output.data["text/plain"], output.metadata = "<Figure size 1440x480 with 1 Axes>", {}
    cell.outputs = [output]
    return set()


def run_out_of_order(notebook: NotebookNode) -> set[int]:
    """The second and the third code cell, which do not need each other, change places and keep the counts of the run."""
    a, b = [place for place, cell in enumerate(notebook.cells) if cell.cell_type == "code"][1:3]
    notebook.cells[a], notebook.cells[b] = notebook.cells[b], notebook.cells[a]
    return set()


def strip(notebook: NotebookNode) -> set[int]:
    for cell in code_cells(notebook):
        cell.update(outputs=[], execution_count=None)
    return set()


# How a copy is spoilt, and what hygiene says of it; None where the file by itself looks well.
SPOILT = {
    change_a_digit: None,
    change_a_caption: None,
    lose_the_widgets_text: "a widget without a stable text",
    lose_the_caption: "a figure without a caption",
    run_out_of_order: "has execution count 3, not 2",
    strip: "has execution count None, not 1",
}
# The copies that nbval runs, each cell of them once, so several faults share one.
COPIES = {
    "untouched": [],
    "contradicted": [change_a_digit, change_a_caption, lose_the_widgets_text],
    "not_contradicted": [lose_the_caption, run_out_of_order],
    "stripped": [strip],
}


@pytest.fixture(scope="module")
def original() -> NotebookNode:
    return solutions.read(ORIGINAL)


@pytest.fixture(scope="module")
def nbval(original, tmp_path_factory) -> dict[str, tuple[set[int], set[int], set[int]]]:
    """For each copy: its cells, those that were spoilt so that a run contradicts them, and those that strict nbval failed."""
    folder = tmp_path_factory.mktemp("net")
    spoilt, cells, failed = {}, {name: set() for name in COPIES}, {name: set() for name in COPIES}
    for name, spoil in COPIES.items():
        notebook = copy.deepcopy(original)
        spoilt[name] = set().union(*(change(notebook) for change in spoil))
        (folder / f"{name}.ipynb").write_text(v4.writes(notebook), encoding="utf-8")
    options = [
        "--nbval",
        "--nbval-current-env",
        f"--nbval-sanitize-with={SANITIZER}",
        "--nbval-cell-timeout=100",
    ]
    options += ["-p", "no:cacheprovider", f"--rootdir={folder}", "--junitxml=report.xml"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(folder)],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 1, run.stdout + run.stderr
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name, cell = case.get("classname").removesuffix(".ipynb"), int(case.get("name").removeprefix("Cell "))
        cells[name].add(cell)
        if len(case):
            failed[name].add(cell)
    return {name: (cells[name], spoilt[name], failed[name]) for name in COPIES}


def hygiene_of(notebook: NotebookNode, folder: Path) -> list[str]:
    path = folder / ORIGINAL.name
    path.write_text(v4.writes(notebook), encoding="utf-8")
    return hygiene.problems(notebook, path)


def test_the_untouched_copy_passes_both(nbval, original, tmp_path):
    cells, _, failed = nbval["untouched"]
    assert cells == set(range(len(code_cells(original))))
    assert failed == set(), f"{ORIGINAL.name} no longer prints what it stores: `make refresh`"
    assert hygiene_of(original, tmp_path) == []


def test_nbval_fails_exactly_the_cells_that_a_run_contradicts(nbval):
    _, spoilt, failed = nbval["contradicted"]
    assert len(spoilt) == 3
    assert failed == spoilt


@pytest.mark.parametrize("name", ["not_contradicted", "stripped"])
def test_nbval_passes_what_no_run_contradicts(name, nbval):
    cells, _, failed = nbval[name]
    assert cells
    assert failed == set()


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_hygiene_fails_what_the_file_shows(spoil, original, tmp_path):
    notebook = copy.deepcopy(original)
    spoil(notebook)
    found, said = hygiene_of(notebook, tmp_path), SPOILT[spoil]
    assert (said or "") in " ".join(found)
    assert bool(found) == bool(said)


def test_everything_spoilt_is_caught_by_one_of_the_two():
    assert {spoil for spoil, said in SPOILT.items() if said is None} <= set(COPIES["contradicted"])


def faults_in_rules(text: str) -> list[str]:
    """What is wrong with a sanitizer file, a sentence each. nbval itself never complains."""
    rules = get_sanitize_patterns(text)
    written = [line for line in text.splitlines() if re.match(r"\s*(regex|replace)\b", line)]
    read = [line for regex, replace in rules for line in (f"regex: {regex}", f"replace: {replace}")]
    examples = re.findall(r"^# example: (.*) => (.*)$", text, re.MULTILINE)
    faults = [] if text.isascii() else ["There is a character beyond ASCII."]
    if written != read:
        faults.append(f"nbval reads only {rules}: a rule is dropped.")
    elif len(examples) != len(rules):
        faults.append(f"{len(rules)} rules have {len(examples)} examples.")
    for (regex, replace), (printed, compared) in zip(rules, examples, strict=False):
        if printed == compared or re.sub(regex, replace, printed) != compared:
            faults.append(f"{regex!r} does not make {compared!r} of {printed!r}.")
    return faults


def test_every_rule_for_nbval_is_read_and_does_what_its_example_says():
    assert faults_in_rules(SANITIZER.read_text(encoding="utf-8")) == []


RULE = "# example: took 0.3 s => took TIME s\nregex: [0-9.]+(?= s)\nreplace: TIME\n"


@pytest.mark.parametrize(
    ("said", "rules"),
    [
        ([], RULE),
        ([], RULE + "\n" + "# example: ab => b\nregex: a\nreplace: \n"),
        (["dropped"], RULE.replace("replace: TIME", "replace:")),
        (["dropped"], RULE.replace("regex: ", "regex = ")),
        (["dropped"], RULE.replace("replace", "# seconds\nreplace")),
        (["dropped"], RULE + "regex: a\n"),
        (["0 examples"], RULE.replace("example", "for instance")),
        (["does not make"], RULE.replace("(?= s)", "(?= s) ")),
        (["does not make"], RULE.replace("TIME s", "0.3 s").replace("TIME", "0.3")),
        (["ASCII"], RULE.replace("TIME", "ZEIT ½")),
    ],
)
def test_a_rule_that_nbval_would_drop_or_that_misses_its_example_is_reported(said, rules):
    found = faults_in_rules(rules)
    assert len(found) == len(said)
    assert all(phrase in fault for phrase, fault in zip(said, found, strict=True))
