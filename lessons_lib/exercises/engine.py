"""The judge: takes a learner's function, tries it, and answers in one of three ways.

*Not attempted yet* says what to write; *not yet right* says what was seen, on which input, and names the mistake where it is
a known one; *right* adds one sentence on why it matters. A check is a plain function in `lessonN.py` that takes the learner's
function, returns that sentence, and raises `NotYet` with what it saw. It looks at what a function does, never at its text.

Not here: a time limit. A loop without end is stopped by the notebook's stop button.
"""

import copy
import dis
import importlib
import math
from collections.abc import Callable
from types import FunctionType
from typing import NamedTuple

from lessons_lib.exercises.logbook import record

__all__ = [
    "NotYet",
    "Verdict",
    "call",
    "check",
    "expect_number",
    "expect_numbers",
    "judge",
    "near",
    "show_call",
]


class Verdict(NamedTuple):
    """status: "not attempted", "not yet right" or "right". message: the sentences the learner reads."""

    status: str
    message: str


class NotYet(Exception):
    """Raised by a check: the answer is not right, and this is what was seen."""


def check(number: str, answer: Callable) -> None:
    """Print what the judge says of the answer to exercise `number`, and note a right one in the progress file."""
    verdict = judge(number, answer)
    print(f"{number} {verdict.message}")
    if verdict.status == "right":
        record(number)


def judge(number: str, answer: Callable) -> Verdict:
    """Try the learner's answer. Raises ValueError where there is no such exercise; never because of the answer."""
    examine = find(number)
    if answer is ... or is_stub(answer):
        what = getattr(answer, "__name__", "your function")
        return Verdict("not attempted", f"not attempted yet. Write the body of {what}.")
    if not callable(answer):
        wanted = f'pass the function itself, without calling it: check("{number}", your_function)'
        return Verdict("not yet right", f"not yet right. This is {answer!r}; {wanted}.")
    try:
        return Verdict("right", f"right. {examine(answer)}")
    except NotYet as seen:
        return Verdict("not yet right", f"not yet right. {seen}")


def find(number: str) -> Callable:
    """The check of an exercise: CHECKS["1.2"] in lessons_lib/exercises/lesson1.py."""
    lesson = str(number).split(".")[0]
    try:
        return importlib.import_module(f"lessons_lib.exercises.lesson{lesson}").CHECKS[number]
    except (ModuleNotFoundError, KeyError):
        raise ValueError(f"there is no exercise {number!r}") from None


def is_stub(answer) -> bool:
    """Whether the function's body is only `...`, `pass` or a docstring, as every stub's is."""
    if not isinstance(answer, FunctionType):
        return False
    steps = list(dis.get_instructions(answer))
    idle = {"RESUME", "NOP", "LOAD_CONST", "LOAD_COMMON_CONSTANT", "RETURN_VALUE", "RETURN_CONST"}
    returned = [
        step.argval for step in steps if step.opname in ("LOAD_CONST", "RETURN_CONST", "LOAD_COMMON_CONSTANT")
    ]
    return all(step.opname in idle for step in steps) and all(value is None for value in returned)


def call(answer: Callable, *arguments):
    """answer(*arguments) for a check: an exception or a changed input becomes a `NotYet` that shows the call.

    Lists, tuples and dicts of numbers are handed over as copies; other objects (a `Value`, a function) as they are.
    """
    given = [copy.deepcopy(a) if isinstance(a, list | dict) and plain(a) else a for a in arguments]
    before = copy.deepcopy([a for a in given if plain(a)])
    try:
        result = answer(*given)
    except Exception as error:
        raise NotYet(f"{show_call(answer, *arguments)} raised {type(error).__name__}: {error}") from error
    if [a for a in given if plain(a)] != before:
        raise NotYet(
            f"{show_call(answer, *arguments)} changed its input. Work on a copy, or put back what you changed."
        )
    if result is None:
        raise NotYet(f"{show_call(answer, *arguments)} returned None. Is a `return` missing?")
    return result


def plain(thing) -> bool:
    """Whether thing is made of numbers, strings, lists and dicts only, so that it can be copied and compared."""
    if isinstance(thing, list | tuple):
        return all(map(plain, thing))
    if isinstance(thing, dict):
        return all(map(plain, thing.values()))
    return isinstance(thing, int | float | str | bool | None)


def show_call(answer: Callable, *arguments) -> str:
    """The call as the learner would write it: slope(f, 2, 0.1)."""
    return f"{answer.__name__}({', '.join(map(brief, arguments))})"


def brief(thing) -> str:
    if callable(thing) and hasattr(thing, "__name__"):
        return thing.__name__
    text = repr(thing)
    return text if len(text) <= 60 else text[:57] + "..."


def near(a: float, b: float, tolerance: float = 1e-6) -> bool:
    """Whether a and b agree to `tolerance`, relative to b or, for a small b, to 1. NaN is near nothing."""
    return math.isfinite(a) and abs(a - b) <= tolerance * max(1.0, abs(b))


def expect_number(
    got, wanted: float, seen: str, mistakes: dict | None = None, tolerance: float = 1e-6
) -> None:
    """NotYet unless got is one number near wanted. seen: the call, for the message.

    mistakes: {wrong value: what it looks like}; the first that got is near is named.
    """
    if isinstance(got, bool) or not isinstance(got, int | float):
        raise NotYet(
            f"{seen} returned {brief(got)}, a {type(got).__name__}; it should be one number (a float)."
        )
    if near(got, wanted, tolerance):
        return
    for wrong, name in (mistakes or {}).items():
        if near(got, wrong, tolerance):
            raise NotYet(f"{seen} returned {got:.6g}; {wanted:.6g} was expected. {name}")
    raise NotYet(f"{seen} returned {got:.6g}; {wanted:.6g} was expected.")


def expect_numbers(
    got, wanted: list[float], seen: str, mistakes: list | None = None, tolerance: float = 1e-6
) -> None:
    """The same for a list of numbers. mistakes: pairs of (wrong list, what it looks like)."""
    if not isinstance(got, list | tuple) or len(got) != len(wanted):
        raise NotYet(f"{seen} returned {brief(got)}; a list of {len(wanted)} numbers was expected.")
    for i, number in enumerate(got):
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise NotYet(
                f"{seen} returned {brief(number)} at place {i}, a {type(number).__name__}; a float was expected."
            )
    if all(near(g, w, tolerance) for g, w in zip(got, wanted, strict=True)):
        return
    for wrong, name in mistakes or []:
        if all(near(g, w, tolerance) for g, w in zip(got, wrong, strict=True)):
            raise NotYet(f"{seen} returned {numbers(got)}; {numbers(wanted)} was expected. {name}")
    raise NotYet(f"{seen} returned {numbers(got)}; {numbers(wanted)} was expected.")


def numbers(values) -> str:
    return "[" + ", ".join(f"{v:.6g}" for v in values) + "]"
