"""What the longer studies share: a CSV file that is filled row by row, so that a study can be broken off and taken up again."""

import csv
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from lessons_lib.data import Split, load_names, split

HERE = Path(__file__).resolve().parent
MACHINE = ("machine", "python", "torch")  # the last columns of every study


def machine() -> dict[str, str]:
    """Where a row was made, without saying whose machine it was."""
    return {
        "machine": f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} used",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def data_sets() -> dict[str, Split]:
    """The bundled names in their split, and the lectures' in theirs where LESSONS_DATA names their folder."""
    sets = {"bundled": split(load_names())}
    if os.environ.get("LESSONS_DATA"):
        sets["makemore"] = split(load_names("makemore"), distinct=False)
    return sets


def seconds(action: Callable[[], object]) -> float:
    """How long a call takes, by the clock."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a study, every value as text; [] where there is no file yet."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def fill(
    path: Path, columns: Sequence[str], wanted: list[dict], measure: Callable[..., dict], fresh: bool
) -> None:
    """Measure what is wanted and write it to `path`, a row at a time.

    wanted:  the settings of each row; they are its first columns, and measure(**settings) gives the others.
    fresh:   measure everything again. Otherwise rows that stand in the file already are kept, and those no longer wanted go.
    The file is whole after every row: a study that is interrupted goes on where it was.
    """
    places = [tuple(map(str, settings.values())) for settings in wanted]
    done = {} if fresh else {tuple(row[name] for name in wanted[0]): row for row in read(path)}
    for place, settings in zip(places, wanted, strict=True):
        if place not in done:
            done[place] = {**settings, **measure(**settings), **machine()}
            print(
                *(f"{name} {done[place][name]}" for name in columns if name not in MACHINE),
                sep=", ",
                flush=True,
            )
        write(path, columns, [done[one] for one in places if one in done])


def lowest_mean(rows: list[dict], by: str, loss: str) -> str:
    """Which value of the column `by` has the lowest mean in the column `loss`, the first among equals."""
    found: dict[str, list[float]] = {}
    for row in rows:
        found.setdefault(row[by], []).append(float(row[loss]))
    return min(found, key=lambda value: sum(found[value]) / len(found[value]))


def write(path: Path, columns: Sequence[str], rows: list[dict]) -> None:
    """Replace the file in one move: whoever reads it meanwhile sees the old one or the new one."""
    part = path.with_name(f".{path.name}.part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    part.replace(path)
