"""Exercises that check themselves: `check("1.1", your_function)` in a notebook. The checks of a lesson stand in `lessonN.py`."""

from lessons_lib.exercises.engine import Verdict, check, judge
from lessons_lib.exercises.logbook import progress, reset

__all__ = ["Verdict", "check", "judge", "progress", "reset"]
