"""What the course consists of: eight lessons, their questions, the hours they take you and the seconds they take a machine.

Hours are our estimate for a reader who does the exercises. Seconds and megabytes are measured, by experiments/notebooks.py.
"""

import csv
from typing import NamedTuple

from lessons_lib.data import DATA

__all__ = ["LESSONS", "Lesson", "about", "measured", "show_map"]

ROOT = DATA.parent
CSV = ROOT / "experiments" / "notebooks.csv"


class Lesson(NamedTuple):
    """file: the notebook's name. hours: of a learner, for the core path and for the part marked deeper."""

    file: str
    question: str
    hours: tuple[float, float]


LESSONS = {
    1: Lesson("01_micrograd", "How does a program learn what to change?", (3, 0.5)),
    2: Lesson("02_bigram_counts", "How good can pure counting be?", (3, 0.5)),
    3: Lesson("03_bigram_neural_net", "Can a network learn what counting knows?", (3, 0.5)),
    4: Lesson("04_mlp", "What does a longer memory buy?", (5, 0.5)),
    5: Lesson("05_init_and_batchnorm", "Why do deep networks train, or fail to?", (6, 1)),
    6: Lesson("06_backprop_ninja", "Can you do by hand what backward does?", (6, 1)),
    7: Lesson("07_wavenet", "How should a network read a long context?", (5, 2)),
    8: Lesson("08_gpt", "How does a transformer write?", (7, 1)),
}


def measured() -> dict[str, tuple[float, float]]:
    """Seconds and megabytes of each notebook, by name, from experiments/notebooks.csv."""
    with CSV.open(encoding="utf-8", newline="") as file:
        return {
            row["notebook"]: (float(row["seconds"]), float(row["megabytes"])) for row in csv.DictReader(file)
        }


def about(number: int) -> None:
    """Print what a lesson asks of you and of the machine."""
    lesson = LESSONS[number]
    core, deeper = lesson.hours
    line = (
        f"Lesson {number} of {len(LESSONS)}. You: about {core:g} hours, and {deeper:g} for the deeper part."
    )
    if lesson.file in measured():
        seconds, megabytes = measured()[lesson.file]
        line += f" The machine: {seconds:.0f} s and {megabytes:.0f} MB for all of it, on two cores."
    print(line)


def show_map() -> None:
    """Print the lessons in order: number, question, hours (core + deeper), seconds and megabytes; or that it is to come."""
    costs = measured()
    width = max(len(lesson.question) for lesson in LESSONS.values())
    print(f"   {'question':<{width}}  your hours  machine: s     MB")
    for number, (file, question, (core, deeper)) in LESSONS.items():
        hours = f"{core:g} + {deeper:g}"
        here = (ROOT / "notebooks" / f"{file}.ipynb").exists()
        cost = (
            f"{costs[file][0]:>11.0f}  {costs[file][1]:>5.0f}"
            if here and file in costs
            else f"{'to come':>11}"
        )
        print(f"{number}  {question:<{width}}  {hours:>10}  {cost}")
