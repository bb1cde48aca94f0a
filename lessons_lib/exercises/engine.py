"""The judge: takes a learner's function, tries it, and answers in one of three ways.

*Not attempted yet* says what to write; *not yet right* says what was seen, on which input, and names the mistake where it is
a known one; *right* adds one sentence on why it matters. A check is a plain function in `lessonN.py` that takes the learner's
function, returns that sentence, and raises `NotYet` with what it saw. It tries inputs from small to large and stops at the
first that fails, so the input in the message is the smallest. It looks at what a function does, never at its text.

Whatever the function does, the notebook lives: it may raise, loop, print, warn, exit or spoil its input, and the verdict says
so in a sentence. What no check can survive is what ends the process itself: `os._exit`, all of the memory, a crash in C.
"""

import copy
import dis
import importlib
import sys
import time
import traceback
from collections.abc import Callable
from types import FunctionType
from typing import NamedTuple

import numpy as np
from torch import Tensor

from lessons_lib.exercises.expect import NotYet, brief, expect_number, expect_numbers, expect_tensor, near
from lessons_lib.exercises.limits import Noise, TimeUp, captured, exit_raises, time_limit
from lessons_lib.exercises.logbook import record

__all__ = [
    "NotYet",
    "Verdict",
    "call",
    "check",
    "expect_number",
    "expect_numbers",
    "expect_tensor",
    "judge",
    "near",
    "show_call",
    "within",
]

SECONDS = 10  # what a check may take, unless it says otherwise with `within`


class Verdict(NamedTuple):
    """status: "not attempted", "not yet right" or "right". message: the sentences the learner reads."""

    status: str
    message: str


def check(number: str, answer: Callable) -> None:
    """Print what the judge says of the answer to exercise `number`, and note a right one in the progress file."""
    verdict = judge(number, answer)
    print(f"{number} {verdict.message}")
    if verdict.status == "right":
        record(number)


def judge(number: str, answer: Callable) -> Verdict:
    """Try the learner's answer. What it prints and warns is held back and told in a few lines below the verdict.

    Raises ValueError where there is no such exercise, and RuntimeError when called from a function that is being judged,
    which could go on for ever; never because of the answer.
    """
    if isinstance(sys.stdout, Noise):
        raise RuntimeError(
            "check was called inside a function that is being checked. Call it in a cell of its own"
        )
    examine = find(number)
    if answer is ... or is_stub(answer):
        what = getattr(answer, "__name__", "your function")
        return Verdict("not attempted", f"not attempted yet. Write the body of {what}.")
    if not callable(answer):
        wanted = f'pass the function itself, without calling it: check("{number}", your_function)'
        return Verdict("not yet right", f"not yet right. This is {brief(answer)}; {wanted}.")
    with captured() as noise, exit_raises():
        try:
            with time_limit(getattr(examine, "seconds", SECONDS)):
                status, message = "right", examine(answer)
        except BaseException as problem:
            status, message = "not yet right", complaint(problem)
    return Verdict(status, f"{status}. {message}{noise.told()}")


def complaint(problem: BaseException) -> str:
    """What is said of an exception that came out of a check. `call` has already put most of them into words."""
    match problem:
        case NotYet():
            return str(problem)
        case TimeUp():
            return f"The {problem.seconds:g} seconds of this check were over before it had come to an end."
        case KeyboardInterrupt():
            return "You stopped the check before it had come to an end."
    return f"The check could not go on with what your function gave it: {told(problem)}."


def within(seconds: float) -> Callable:
    """Decorator for a check whose time limit is not the usual 10 seconds: `@within(60)`. What it can stop: `time_limit`."""

    def note(examine: Callable) -> Callable:
        examine.seconds = seconds
        return examine

    return note


def find(number: str) -> Callable:
    """The check of an exercise: CHECKS["1.2"] in lessons_lib/exercises/lesson1.py."""
    if not isinstance(number, str):
        raise ValueError(f'the number of an exercise stands in quotes: check("{number}", your_function)')
    module = f"lessons_lib.exercises.lesson{number.split('.')[0]}"
    try:
        return importlib.import_module(module).CHECKS[number]
    except (ModuleNotFoundError, KeyError) as error:
        if isinstance(error, ModuleNotFoundError) and error.name != module:
            raise  # the lesson is there; something that it needs is not
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
    """answer(*arguments) for a check: whatever goes wrong becomes a `NotYet` that shows the call.

    That is an exception or `exit()`, the end of the check's time, the learner's stop button, a changed input, and None.
    Numbers, strings, tensors, arrays, and lists, tuples, dicts and sets of such are handed over as copies. What has a life of
    its own is handed over as it is, and may be changed: a `Value`, a model, a generator, a tensor that requires a gradient.
    """
    given = [copied(a) for a in arguments]
    start = time.monotonic()
    try:
        result = answer(*given)
    except NotYet:  # from a function that the check has handed over
        raise
    except TimeUp as up:
        raise NotYet(too_long(show_call(answer, *arguments), time.monotonic() - start, up.seconds)) from None
    except KeyboardInterrupt:
        raise NotYet(f"You stopped {show_call(answer, *arguments)}, which was still running.") from None
    except SystemExit as error:
        raise NotYet(
            f"{show_call(answer, *arguments)} called exit(), which ends a program. Use `return`."
        ) from error
    except BaseException as error:
        line = own_line(answer, error)
        raise NotYet(
            f"{show_call(answer, *arguments)} raised {told(error)}{line and f', in the line `{line}`'}."
        ) from error
    if not all(map(same, given, arguments)):
        raise NotYet(
            f"{show_call(answer, *arguments)} changed its input. Work on a copy, or put back what you changed."
        )
    if result is None:
        raise NotYet(f"{show_call(answer, *arguments)} returned None. Is a `return` missing?")
    return result


def too_long(shown: str, took: float, limit: float) -> str:
    when = f"{shown} was stopped when the {limit:g} seconds of this check were over."
    if took > limit / 2:
        return f"{when} Is there a loop that never ends?"
    return f"{when} The calls before it came to an end, but slowly."


def told(error: BaseException) -> str:
    """The exception in one line: its type, and what it says."""
    said = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {said[:200]}" if said else type(error).__name__


def own_line(answer: Callable, error: BaseException) -> str:
    """The last line of the learner's own code on the way to the error; "" where it is not known."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [frame.line for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1][:200] if lines else ""


def copied(thing):
    """A copy of everything in it that can be compared afterwards; the rest as it is."""
    if type(thing) in (str, float, int):  # first, for the lists of 30,000 names
        return thing
    match thing:
        case Tensor() if not thing.requires_grad:
            return thing.clone()
        case np.ndarray():
            return thing.copy()
        case list() | tuple() | set() if type(thing) in (list, tuple, set):
            return type(thing)([copied(inner) for inner in thing])
        case dict():
            twin = copy.copy(thing)  # a Counter stays one
            twin.update((key, copied(value)) for key, value in thing.items())
            return twin
    return thing


def same(now, before) -> bool:
    """Whether what was handed over is still what it was; NaN is the same as NaN."""
    if now is before:
        return True
    if type(now) is not type(before):
        return False
    match now:
        case Tensor() | np.ndarray():
            alike = now.shape == before.shape and now.dtype == before.dtype
            return alike and bool(((now == before) | ((now != now) & (before != before))).all())
        case list() | tuple():
            return len(now) == len(before) and all(map(same, now, before))
        case dict():
            return list(now) == list(before) and all(map(same, now.values(), before.values()))
    return bool(now == before)


def show_call(answer: Callable, *arguments) -> str:
    """The call as the learner would write it: slope(f, 2, 0.1). Large tensors and long lists are shortened."""
    name = getattr(answer, "__name__", type(answer).__name__)
    return f"{name}({', '.join(map(brief, arguments))})"
