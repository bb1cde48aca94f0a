"""Write the notebooks for a class: `python tests/handout.py [folder] [--force]`, into handout/ by default.

Without outputs, which would give the predictions away, and without the solutions; the hints stay. A file that this program
did not write, or that was changed since, is not written over unless `--force` says so; then nothing is written at all.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import refresh
import solutions
from nbformat import NotebookNode
from private_home import ROOT

from lessons_lib.lab import strip

__all__ = ["hand_out", "without_solutions"]

MARK = "handout"  # in a notebook's metadata: the fingerprint of the cells as they were written


def without_solutions(notebook: NotebookNode) -> int:
    """Remove outputs and every `<details>` titled Solution, in place, and return how many there were.

    Raises ValueError where something that looks like a solution is left.
    """
    strip(notebook)
    removed = 0
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "markdown":
            continue
        for details in solutions.DETAILS.finditer(cell.source):
            if details[1].strip().lower() == "solution":
                cell.source = cell.source.replace(details[0], "").strip()
                removed += 1
        if "solution</summary>" in cell.source.lower().replace(" ", ""):
            raise ValueError(f"Cell {number}: a solution that is not in the usual form is left")
    return removed


def hand_out(originals: Path, folder: Path, force: bool = False) -> list[Path]:
    """Write every notebook of `originals` into `folder`, without outputs and solutions, and return the files written.

    Raises FileExistsError naming every file that is not this program's own, unless `force`, and ValueError where the folder
    is the originals' own, where there is no notebook, or where an exercise keeps its solution. Then nothing is written.
    """
    if folder.resolve() == originals.resolve():
        raise ValueError("The handout cannot go where the notebooks themselves are. Name another folder.")
    made = {}
    for original in sorted(originals.glob("[!.]*.ipynb")):
        exercises = solutions.exercises(original)
        notebook = solutions.read(original)
        try:
            removed = without_solutions(notebook)
        except ValueError as error:
            raise ValueError(f"{original.name}: {error}") from None
        if removed != len(exercises):
            raise ValueError(f"{original.name}: {len(exercises)} exercises, but {removed} solutions.")
        notebook.metadata["lessons_lib"] = {MARK: fingerprint(notebook)}
        made[folder / original.name] = notebook
    if not made:
        raise ValueError(f"There is no notebook in {originals.name}/.")
    foreign = [path.name for path in made if path.exists() and not is_ours(path)]
    if foreign and not force:
        raise FileExistsError(
            f"Not written by this program, or changed since: {', '.join(foreign)}. "
            "Name another folder, or say --force to lose them."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for path, notebook in made.items():
        refresh.save(notebook, path)
    return list(made)


def fingerprint(notebook: NotebookNode) -> str:
    """SHA-256 of all cells with their outputs: what somebody could have added to."""
    return hashlib.sha256(json.dumps(notebook.cells, sort_keys=True).encode("utf-8")).hexdigest()


def is_ours(path: Path) -> bool:
    """Whether the file is a handout as this program wrote it."""
    try:
        notebook = solutions.read(path)
        return notebook.metadata["lessons_lib"][MARK] == fingerprint(notebook)
    except Exception:  # whatever it is, it is not ours; nbformat raises many kinds
        return False


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write the notebooks without outputs and solutions.")
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "handout", help="handout/ by default")
    parser.add_argument("--force", action="store_true", help="write over files of other origin")
    wish = parser.parse_args(arguments)
    try:
        written = hand_out(ROOT / "notebooks", wish.folder, wish.force)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(written)} notebooks in {wish.folder}, without outputs and solutions.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
