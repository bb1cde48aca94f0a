"""Execute notebooks and store what they print: `python tests/refresh.py [notebook ...]`, all of notebooks/ by default.

The only way outputs are made. Each notebook runs top to bottom in a fresh kernel, in its own folder, under the conditions
it will be compared under; what is saved depends on nothing else, so a second run changes no byte. An error stops the run
and leaves that notebook's file as it was.
"""

import os
import re
import sys
import time
from pathlib import Path
from typing import NamedTuple

import hygiene
import private_home
import solutions
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, DeadKernelError
from nbformat import NotebookNode, v4

__all__ = ["Run", "execute", "save", "tidy"]

TIMEOUT = 600  # seconds a cell may take
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    # Without the version, which differs from machine to machine.
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}
# The most memory the kernel ever held, in bytes, as the kernel itself is told by its system.
PEAK_MEMORY = """
import sys
if sys.platform == "win32":
    import psutil
    print(psutil.Process().memory_info().peak_wset)
else:
    import resource
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


class Run(NamedTuple):
    """An executed notebook, the seconds from its first cell to its last, and its kernel's peak memory in bytes."""

    notebook: NotebookNode
    seconds: float
    peak: int


def execute(path: Path) -> Run:
    """Run the notebook file in a fresh kernel. The file is not written to.

    Raises RuntimeError with the cell's number and the traceback where a cell fails, takes too long or kills the kernel.
    """
    notebook = solutions.read(path)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.update(outputs=[], execution_count=None)
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # no advice on how kernels talk to each other
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    with client.setup_kernel():
        start = time.perf_counter()
        for index, cell in enumerate(notebook.cells):
            try:
                client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
            except (CellControlSignal, DeadKernelError, TimeoutError) as error:
                raise RuntimeError(f"cell {index + 1}: {error}") from error
        seconds = time.perf_counter() - start
        probe = v4.new_code_cell(PEAK_MEMORY)
        notebook.cells.append(probe)
        client.execute_cell(probe, len(notebook.cells) - 1)
        notebook.cells.pop()
    return Run(notebook, seconds, int(probe.outputs[0].text))


def tidy(notebook: NotebookNode) -> None:
    """Drop what differs from run to run or from editor to editor, in place, and number the cell ids.

    Raises RuntimeError naming the cell of a widget that has no text of its own: of a widget only its text is kept, so there
    would be nothing to compare, and nothing to read where no kernel runs.
    """
    notebook.metadata = NotebookNode(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells, start=1):
        cell.id = f"cell-{number:03d}"
        cell.metadata = NotebookNode({key: cell.metadata[key] for key in ("tags",) if key in cell.metadata})
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if hygiene.WIDGET in data and (fault := hygiene.fault_in_widget(data)):
                raise RuntimeError(f"cell {number}: {fault}")
            data.pop(hygiene.WIDGET, None)  # an id that is new in every run, of a widget that is gone


def save(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook so that an interruption leaves the old file or the new one, never half a one."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(v4.writes(notebook) + "\n", encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def main(names: list[str]) -> int:
    private_home.enter()
    os.environ.pop("LESSONS_THREADS", None)  # outputs are made with the threads the lessons ask for
    paths = [Path(name) for name in names] or sorted((private_home.ROOT / "notebooks").glob("[!.]*.ipynb"))
    if not paths:
        print("There is no notebook in notebooks/.", file=sys.stderr)
        return 1
    for path in paths:
        try:
            run = execute(path)
            tidy(run.notebook)
        except RuntimeError as error:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            print(f"{path.name} is left as it was: {plain}", file=sys.stderr)
            return 1
        save(run.notebook, path)
        print(f"{path.name:32} {run.seconds:6.1f} s {run.peak / 2**20:6.0f} MB", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
