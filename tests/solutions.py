"""Read the exercises out of a notebook: stub, check, hints and solution stand there once and in one form.

An exercise is four cells in a row:

1. markdown, whose last exercise line is `**Exercise 4.2** ●●○ 10 min. ...`
2. code, the stub: one function whose body is `...` (a docstring may stand before it)
3. code, the check: `check("4.2", name_of_the_function)`
4. markdown, `<details>` with hints and, last, `<details><summary>Solution</summary>` with one ```python block

Code in this form can be found and proved by a program; anything else that looks like an exercise is a fault.
"""

import ast
import re
import symtable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

__all__ = ["Exercise", "context", "definitions", "exercises", "find", "read"]

SPEAKING = {
    "check",
    "display",
    "predict",
    "print",
    "show",
}  # calls that always leave an output, and nothing else

HEADER = re.compile(r"^\*\*Exercise (\d+\.\d+)\*\* (●○○|●●○|●●●) (\d+) min\. \S", re.MULTILINE)
LIKE_A_HEADER = re.compile(r"^[>#*_ -]*[#*_] *Exercise\s+\d", re.MULTILINE)
DETAILS = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
PYTHON_BLOCK = re.compile(r"^```python\n(.*?)^```\s*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Exercise:
    """One exercise as it stands in its notebook.

    number: "4.2". difficulty: 1 to 3. minutes: as the header says. function: the name the learner fills in.
    stub, check, solution: source code. cell: where the stub stands, counted from 0. above: the source of each code cell
    down to the stub, which is one of them: it may import what the answer needs.
    """

    number: str
    difficulty: int
    minutes: int
    function: str
    stub: str
    check: str
    solution: str
    cell: int
    above: tuple[str, ...]


def read(path: Path) -> NotebookNode:
    """The notebook as it stands in the file: nbformat.read would mend missing or doubled cell ids on the way."""
    return nbformat.v4.reads(Path(path).read_text(encoding="utf-8"))


def exercises(path: Path) -> list[Exercise]:
    """All exercises of the notebook file, in order.

    Raises ValueError naming every cell that looks like an exercise and is not in the fixed form.
    """
    found, faults = find(read(path))
    if faults:
        raise ValueError(f"{Path(path).name}: " + " ".join(faults))
    return found


def find(notebook: NotebookNode) -> tuple[list[Exercise], list[str]]:
    """The well-formed exercises of a notebook, and a sentence for everything that is not."""
    cells, found, faults, claimed = notebook.cells, [], [], set()
    for index, cell in enumerate(cells):
        if cell.cell_type != "markdown" or not LIKE_A_HEADER.search(cell.source):
            continue
        claimed.update(range(index, index + 4))
        try:
            found.append(exercise_at(cells, index))
        except ValueError as fault:
            faults.append(f"Cell {index + 1}: {fault}.")
    for index, cell in enumerate(cells):
        if index in claimed:
            continue
        if cell.cell_type == "code" and re.search(r"^check\(", cell.source, re.MULTILINE):
            faults.append(f"Cell {index + 1}: a check that belongs to no exercise.")
        if cell.cell_type == "markdown" and "Solution</summary>" in cell.source:
            faults.append(f"Cell {index + 1}: a solution that belongs to no exercise.")
    return found, faults + [fault for exercise in found for fault in later_uses(cells, exercise)]


def exercise_at(cells: list[NotebookNode], index: int) -> Exercise:
    """The exercise whose header stands in cells[index]. Raises ValueError saying what is not in the fixed form."""
    headers = HEADER.findall(cells[index].source)
    if len(headers) != 1 or len(LIKE_A_HEADER.findall(cells[index].source)) != 1:
        raise ValueError(
            "an exercise header is one line `**Exercise N.M** ●○○ K min. What to do`, one a cell"
        )
    number, dots, minutes = headers[0]
    if len(cells) < index + 4:
        raise ValueError(f"exercise {number} lacks its stub, its check or its solution")
    try:
        function = checked_function(cells[index + 2], number)
        return Exercise(
            number=number,
            difficulty=dots.count("●"),
            minutes=int(minutes),
            function=function,
            stub=stub_source(cells[index + 1], function),
            check=cells[index + 2].source,
            solution=solution_source(cells[index + 3]),
            cell=index + 1,
            above=tuple(cell.source for cell in cells[: index + 2] if cell.cell_type == "code"),
        )
    except ValueError as fault:
        raise ValueError(f"exercise {number}: {fault}") from None


def checked_function(cell: NotebookNode, number: str) -> str:
    """The function that the check cell hands in. Raises ValueError unless the cell is `check("N.M", name)`."""
    match = re.fullmatch(r'check\("([\d.]+)", (\w+)\)', cell.source.strip())
    if cell.cell_type != "code" or not match or match[1] != number:
        raise ValueError(f'two cells on stands no check cell `check("{number}", name)`')
    return match[2]


def stub_source(cell: NotebookNode, function: str) -> str:
    """The stub cell's source. Raises ValueError unless it holds the function, unwritten, and no other."""
    wanted = f"the next cell is no stub: one function {function} whose body is `...`"
    if cell.cell_type != "code":
        raise ValueError(wanted)
    try:
        functions = [n for n in ast.parse(cell.source).body if isinstance(n, ast.FunctionDef)]
    except SyntaxError:
        raise ValueError(wanted) from None
    if len(functions) != 1 or functions[0].name != function:
        raise ValueError(wanted)
    body = functions[0].body[1:] if ast.get_docstring(functions[0]) else functions[0].body
    if len(body) != 1 or ast.unparse(body[0]) != "...":
        raise ValueError(wanted)
    return cell.source


def solution_source(cell: NotebookNode) -> str:
    """The code of the last `<details>`. Raises ValueError unless hints come first and the solution is one block."""
    if cell.cell_type != "markdown":
        raise ValueError("three cells on stands no markdown with hints and solution")
    details = DETAILS.findall(cell.source)
    if cell.source.count("<details") != len(details) or cell.source.count("</details>") != len(details):
        raise ValueError("a <details> lacks its <summary> or is not closed")
    titles = [title.strip() for title, _ in details]
    if len(titles) < 2 or titles.count("Solution") != 1 or titles[-1] != "Solution":
        raise ValueError("the <details> are not one hint or more and then one titled Solution")
    blocks = PYTHON_BLOCK.findall(details[-1][1])
    if len(blocks) != 1 or details[-1][1].count("```") != 2:
        raise ValueError("the solution is not exactly one ```python block")
    if "\n\n```python" not in details[-1][1]:
        raise ValueError("without a blank line before ```python the solution is not shown as code")
    return blocks[0]


def later_uses(cells: list[NotebookNode], exercise: Exercise) -> list[str]:
    """Cells below the check that need what the learner may not have written yet."""
    for number, cell in enumerate(cells[exercise.cell + 2 :], start=exercise.cell + 3):
        if cell.cell_type != "code":
            continue
        try:
            used, bound = names(cell.source)
        except SyntaxError:  # hygiene.py has a word for it
            continue
        if exercise.function in bound:
            return []  # from here on the name is the lesson's own
        if exercise.function in used:
            return [
                f"Cell {number}: needs {exercise.function} of exercise {exercise.number}, which may be unwritten."
            ]
    return []


def names(source: str) -> tuple[set[str], set[str]]:
    """The global names that the code reads, in functions too, and those it gives a meaning. Raises SyntaxError."""
    used, bound = set(), set()
    tables = [symtable.symtable(source, "cell", "exec")]
    module = tables[0]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table is module or symbol.is_global():
                if symbol.is_referenced():
                    used.add(symbol.get_name())
                if symbol.is_assigned() or symbol.is_imported():
                    bound.add(symbol.get_name())
    return used, bound


def context(above: Sequence[str], source: str) -> str:
    """The part of the cells above an exercise that `source`, a solution or another answer, needs in order to run.

    A lesson is not run again for every exercise, which may mean training its models. Of all statements above, in order,
    those are taken that give a meaning to a name which `source` reads, or change it (`Value.__add__ = add`, `model.fit()`),
    and then what these need in turn. Where that takes too little, the proof of the solution fails.
    """
    statements = [statement for cell in above for statement in ast.parse(cell).body]
    used, bound = names(source)
    wanted, taken = used - bound, set()
    while needed := [s for s in statements if s not in taken and touched(s) & wanted]:
        taken.update(needed)
        wanted = set().union(*(names(ast.unparse(s))[0] for s in needed))
    return "\n".join(ast.unparse(s) for s in statements if s in taken)


def definitions(path: Path, constants: Sequence[str] = ()) -> dict:
    """A notebook's functions and classes by name, as its cells define them: its imports and definitions are run, and nothing else.

    constants: names of top-level assignments that are run as well.
    """

    def wanted(node: ast.stmt) -> bool:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            return node.targets[0].id in constants
        return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)

    cells = [cell.source for cell in read(path).cells if cell.cell_type == "code"]
    kept = [node for cell in cells for node in ast.parse(cell).body if wanted(node)]
    space = {"__name__": "notebook"}
    exec(compile(ast.Module(kept, []), str(path), "exec"), space)
    return space


def touched(statement: ast.stmt) -> set[str]:
    """The global names that running the statement gives a meaning or may change.

    A call on a line of its own may change the object it is a method of, and what it is handed by name.
    """
    _, found = names(ast.unparse(statement))
    nodes, changed = [statement], []
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            continue  # its body runs later, if ever
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed.append(node.value)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            changed += [a for a in node.value.args if isinstance(a, ast.Name)]
            changed += [node.value.func.value] if isinstance(node.value.func, ast.Attribute) else []
    return found.union(*(names(ast.unparse(node))[0] for node in changed))
