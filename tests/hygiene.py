"""What strict nbval cannot see in a notebook: problems(notebook, path) lists them, a sentence each.

Nbval compares what a cell prints with what is stored. It passes a notebook whose outputs were stripped, never looks
at a picture, keeps what a widget or clear_output would replace, and ignores how the file itself is kept. Each rule
here closes one of those gaps. Cells are counted from 1, markdown included, which is also the number in a cell's id.
"""

import ast
import html
import io
import re
import tokenize
from collections.abc import Iterator
from itertools import pairwise, zip_longest
from pathlib import Path

import ipywidgets
import solutions
from nbformat import NotebookNode
from nbformat.validator import iter_validate
from private_home import ROOT

__all__ = ["problems"]

MAX_BYTES = 3_000_000
MAX_LINES, USUAL_LINES = 40, 20  # non-blank lines of a code cell: of any, of 9 in 10

# Markers that switch nbval or nbclient off for a cell: (notebook's name, cell id) -> why it must be so.
EXCUSED: dict[tuple[str, str], str] = {}

# Nbval is no front end: it keeps every output these would replace, and shows those an Output widget would swallow.
REPLACING = {"clear_output", "interact", "interact_manual", "interactive", "interactive_output"}
REPLACING |= {"Output", "update_display"}
TIMING = {"execution", "ExecuteTime", "papermill"}
WIDGET = "application/vnd.jupyter.widget-view+json"
ADDRESS = re.compile(r"0x[0-9a-f]{6,}", re.IGNORECASE)
MACHINE_PATH = re.compile(
    rf"(?<![\w.])/(?:home|root|Users|tmp|private|var/folders)/|\b[A-Z]:\\+\w|site-packages|{re.escape(str(ROOT))}\b"
)
MARKER = re.compile(r"#.*\b(?:NBVAL_[A-Z_]+|PYTEST_VALIDATE_IGNORE_OUTPUT)")
MARKER_TAG = re.compile(r"nbval-|pytest-validate|raises-exception|skip-execution")
DESCRIBED = re.compile(r"\balt\s*=\s*(['\"])\s*[^'\"\s]")  # of an <img>
REMOTE = re.compile(r"\bsrc\s*=\s*['\"]?(?:https?:)?//")
REPR = re.compile(r"<.*>|[A-Za-z_][\w.]*\(.*", re.DOTALL)
KINDS = [k for k, v in vars(ipywidgets).items() if isinstance(v, type) and issubclass(v, ipywidgets.Widget)]
WIDGET_REPR = re.compile(rf"(?:{'|'.join(KINDS)})\(")


def problems(notebook: NotebookNode, path: Path) -> list[str]:
    """Everything wrong with the notebook that stands in the file `path`, in order of appearance; [] if nothing is.

    notebook: as `solutions.read` gives it, not nbformat.read, which mends cell ids on the way.
    """
    found = [*of_the_file(notebook, path), *of_the_lengths(notebook), *of_the_exercises(notebook, path)]
    for number, cell in enumerate(notebook.cells, start=1):
        of_the_cell = of_code(cell, path) if cell.cell_type == "code" else of_pictures_in(cell.source)
        found += [f"Cell {number}: {problem}." for problem in (*of_metadata(cell), *of_the_cell)]
    return found


def of_the_file(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Size, format, metadata, cell ids, execution counts."""
    if path.stat().st_size > MAX_BYTES:
        yield f"The file has {path.stat().st_size:,} bytes; {MAX_BYTES:,} are allowed."
    for error in iter_validate(notebook, version=4, version_minor=notebook.get("nbformat_minor")):
        yield f"The file is no valid notebook: {error.message[:200]}."
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        yield "The kernelspec is not python3, the one name every installation has."
    if "version" in notebook.metadata.get("language_info", {}):
        yield "language_info holds a version of Python, which differs from machine to machine."
    if "widgets" in notebook.metadata:
        yield "metadata.widgets is stored: `make refresh` leaves no state of widgets."
        if "state" not in notebook.metadata.widgets:
            yield "metadata.widgets has no `state`, and GitHub does not show such a notebook."
    if any(MACHINE_PATH.search(text) for text in strings(notebook.metadata)):
        yield "The notebook's metadata holds a path of a machine."
    ids = [cell.get("id") for cell in notebook.cells]
    if not all(ids) or len(set(ids)) < len(ids):
        yield "The cell ids are not unique and non-empty."
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    counts = [cell.get("execution_count") for cell in code]
    for place, (stored, right) in enumerate(zip_longest(counts, range(1, len(code) + 1)), start=1):
        if stored != right:
            yield f"Code cell {place} has execution count {stored}, not {right}: run top to bottom, and not stripped?"
            break
    if not any(cell.outputs for cell in code):
        yield "No cell has an output: nothing would be compared."


def of_the_lengths(notebook: NotebookNode) -> Iterator[str]:
    """A cell is read at a glance, or it is two cells."""
    lengths = {
        number: sum(1 for line in cell.source.splitlines() if line.strip())
        for number, cell in enumerate(notebook.cells, start=1)
        if cell.cell_type == "code"
    }
    for number, lines in lengths.items():
        if lines > MAX_LINES:
            yield f"Cell {number}: {lines} lines of code; {MAX_LINES} are allowed."
    long = [number for number, lines in lengths.items() if lines >= USUAL_LINES]
    if len(long) * 10 > len(lengths):
        yield f"Cells {long}: {USUAL_LINES} lines or more in over a tenth of the code cells."


def of_the_exercises(notebook: NotebookNode, path: Path) -> Iterator[str]:
    """Exercises stand in the one form that solutions.py can read, and count up from 1 within their lesson."""
    found, faults = solutions.find(notebook)
    yield from faults
    lesson = int(re.match(r"\d*", path.name)[0] or 0)
    for place, exercise in enumerate(found, start=1):
        if not faults and exercise.number != f"{lesson}.{place}":
            yield f"Cell {exercise.cell}: exercise {exercise.number} stands where {lesson}.{place} is due."


def of_metadata(cell: NotebookNode) -> Iterator[str]:
    """What an editor leaves in a cell."""
    if TIMING & set(cell.metadata):
        yield "its metadata holds when it ran; `make refresh` leaves no timing"
    if any(MACHINE_PATH.search(text) for text in strings(cell.metadata)):
        yield "its metadata holds a path of a machine"


def of_code(cell: NotebookNode, path: Path) -> Iterator[str]:
    """A code cell: what it says to nbval, what it asks of a front end, what it stored."""
    excused = (path.name, cell.get("id")) in EXCUSED
    tags = cell.metadata.get("tags", [])
    if not excused and (MARKER.search(cell.source) or any(MARKER_TAG.match(tag) for tag in tags)):
        yield "a comment or tag tells nbval to look away"
    try:
        tree = ast.parse(cell.source)
    except SyntaxError as error:
        yield f"not plain Python ({error.msg}): a magic, or a command of the shell?"
    else:
        yield from of_calls(tree, cell)
        if ends_in_semicolon(cell.source):
            yield "it ends in `;`, which silences nothing under nbval: bind the value, `_ = ...`"
    for output in cell.outputs:
        yield from of_output(output)
    yield from of_figures(cell.outputs)


def of_calls(tree: ast.Module, cell: NotebookNode) -> Iterator[str]:
    """Calls that need a front end, and calls that must have left an output."""
    nodes = list(ast.walk(tree))
    used = {name_of(node.func) for node in nodes if isinstance(node, ast.Call)}
    used |= {name_of(decorator) for node in nodes for decorator in getattr(node, "decorator_list", [])}
    for name in sorted(REPLACING & used):
        yield f"{name} replaces outputs as a front end would; nbval does not, and disagrees with the file"
    if any(isinstance(node, ast.keyword) and node.arg == "display_id" for node in nodes):
        yield "a display with display_id is updated later; nbval keeps the first state"
    said = solutions.SPEAKING & {name_of(call.func) for call in surely_called(tree)}
    if said and not cell.outputs:
        yield f"it calls {min(said)}, yet no output is stored"


def surely_called(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that running the cell makes whatever the values are: none inside a definition or a condition."""
    definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
    if isinstance(node, definition | ast.If | ast.IfExp | ast.While | ast.ExceptHandler):
        return
    if isinstance(node, ast.Call) and not any(keyword.arg == "file" for keyword in node.keywords):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from surely_called(child)


def name_of(node: ast.AST) -> str | None:
    """`f` of `f`, `a.f`, `f(...)` and `a.f(...)`."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return getattr(node, "id", getattr(node, "attr", None))


def ends_in_semicolon(source: str) -> bool:
    """Whether `;` is the last thing in valid code, comments and blank lines aside."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    words = [t.string for t in tokens if t.type != tokenize.COMMENT and t.string.strip()]
    return words[-1:] == [";"]


def of_output(output: NotebookNode) -> Iterator[str]:
    """One stored output: nothing that differs from run to run or from machine to machine."""
    if output.output_type == "error":
        yield f"it stored an error, {output.ename}"
    if output.get("name") == "stderr":
        yield "it stored text on stderr"
    data = output.get("data", {})
    texts = list(strings({key: value for key, value in output.items() if key != "data"}))
    texts += strings({kind: value for kind, value in data.items() if not kind.startswith("image/")})
    if any(ADDRESS.search(text) for text in texts):
        yield "an output holds a memory address"
    if any(MACHINE_PATH.search(text) for text in texts):
        yield "an output holds a path of a machine"
    if "image/svg+xml" in data:
        yield "an SVG picture: its text is compared and differs from run to run; show a PNG"
    if WIDGET in data:
        yield "the view of a widget is stored, under an id that is new in every run; `make refresh` keeps its text"
        if fault := fault_in_widget(data):
            yield fault
    elif data and not has_picture(data) and not data.get("text/plain", "").strip():
        yield "an output without text/plain, so nothing stands there where only text can be shown"
    if WIDGET_REPR.match(data.get("text/plain", "")):
        yield "a widget is shown as its repr: bind it, `_ = ...`, or give it a text of its own"
    yield from of_pictures_in(data.get("text/html", ""))


def fault_in_widget(data: dict[str, object]) -> str | None:
    """What is wrong with the text of a widget, given the bundle that shows it; None if nothing is."""
    text = data.get("text/plain", "").strip()
    own = text and not REPR.fullmatch(text)
    return None if own else "a widget without a stable text of its own in text/plain"


def has_picture(data: dict[str, object]) -> bool:
    return any(kind.startswith("image/") for kind in data)


def of_figures(outputs: list[NotebookNode]) -> Iterator[str]:
    """Every picture carries a caption that nbval compares, and the same caption follows as a visible line."""
    for output, line in pairwise([*outputs, NotebookNode()]):
        data = output.get("data", {})
        if not has_picture(data):
            continue
        caption = data.get("text/plain", "")
        if not caption.strip() or caption.startswith("<"):
            yield "a figure without a caption: use show(fig, caption)"
            continue
        if not re.search(r"\d", caption) or not re.fullmatch(r"\S((?![.!?]['\")]?\s+[A-Z]).)*[.!?]", caption):
            yield f"the caption {caption!r} is not one sentence with the picture's numbers"
        below = line.get("data", {})
        visible = html.unescape(re.sub(r"<[^>]+>", "", below.get("text/html", "")))
        if below.get("text/plain") != caption or visible.strip() != caption:
            yield "a figure whose caption does not follow it as a visible line"


def of_pictures_in(text: str) -> Iterator[str]:
    """Pictures in markdown or HTML: described, and part of the repository."""
    text = re.sub(r"^(```|~~~).*?^\1|(`+).*?\2", "", text, flags=re.DOTALL | re.MULTILINE)
    tags = re.findall(r"<img\b[^>]*>", text)
    if re.search(r"!\[\s*\]", text) or not all(DESCRIBED.search(tag) for tag in tags):
        yield "a picture without alt text"
    if re.search(r"!\[[^\]]*\]\(\s*<?(?:https?:)?//", text) or any(map(REMOTE.search, tags)):
        yield "a picture fetched from elsewhere: one day it is gone"


def strings(value: object) -> Iterator[str]:
    """All strings that are values within nested lists and dictionaries."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
