"""Execute every notebook and write its seconds and megabytes to notebooks.csv: `make experiments`.

Lessons print these numbers ("The machine: 9 s and 310 MB"), so `make refresh` has to follow. README.md explains the columns.
"""

import csv
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import private_home
import refresh

# Torch is not imported here: on Linux a kernel's peak memory starts at what the process that starts it holds.

ROOT = Path(__file__).resolve().parent.parent
CSV = ROOT / "experiments" / "notebooks.csv"


class Cost(NamedTuple):
    """A row of notebooks.csv: what a notebook takes from its first cell to its last, in a fresh kernel."""

    notebook: str
    seconds: float
    megabytes: int
    machine: str
    python: str
    torch: str


def notebooks() -> list[Path]:
    """The notebooks of the course, in order."""
    return sorted((ROOT / "notebooks").glob("*.ipynb"))


def measure(path: Path) -> Cost:
    """Execute the notebook, whose file is not written to. Raises RuntimeError where a cell fails.

    Call `private_home.enter()` first, or the kernel sees the progress file of whoever runs this.
    """
    run = refresh.execute(path)
    return Cost(
        notebook=path.stem,
        seconds=round(run.seconds, 1),
        megabytes=round(run.peak / 2**20),
        machine=f"{os.cpu_count()} CPU cores",
        python=platform.python_version(),
        torch=version("torch"),
    )


def main():
    private_home.enter()
    os.environ.pop("LESSONS_THREADS", None)  # lessons run with the threads they ask for
    # Whatever else the machine does only adds to the seconds, so the faster of two runs is the truer one.
    costs = [min(measure(path), measure(path), key=lambda cost: cost.seconds) for path in notebooks()]
    with CSV.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([Cost._fields, *costs])
    for cost in costs:
        print(f"{cost.notebook:32} {cost.seconds:6.1f} s {cost.megabytes:6d} MB")


if __name__ == "__main__":
    main()
