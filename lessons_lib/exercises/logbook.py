"""What you have solved: a local file of JSON lines that is only ever added to, in your user data folder. Nothing is sent.

Adding a line is one write at the end of the file, so two notebooks open at once do not lose each other's (on Windows the
system does not promise that, if both write in the same instant). Who reads in that instant may see half of the line: the
worst that comes of it is an empty line, and those do not count. A damaged line is skipped with a word.
"""

import errno
import importlib
import json
import os
from datetime import datetime
from pathlib import Path

import platformdirs

__all__ = ["progress", "progress_file", "record", "reset", "solved"]

LESSONS = range(9)


def progress_file() -> Path:
    """Where your progress stands: `progress.jsonl` in the user data folder of lessons-lib."""
    return platformdirs.user_data_path("lessons-lib") / "progress.jsonl"


def record(exercise: str, event: str = "right") -> bool:
    """Add one line. A folder that cannot be written costs the record, not the lesson: it says so and returns False."""
    if event == "right" and exercise in solved():
        return True
    line = json.dumps(
        {"exercise": exercise, "event": event, "at": datetime.now().isoformat(timespec="seconds")}
    )
    try:
        progress_file().parent.mkdir(parents=True, exist_ok=True)
        with progress_file().open("ab+", buffering=0) as file:  # unbuffered and appending: one write, whole
            whole = f"{after_half_a_line(file)}{line}\n".encode()
            if file.write(whole) < len(whole):  # what a disk does that fills up in the middle of it
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        print(f"(Your progress could not be noted: {error.strerror}. `python -m lessons_lib` says more.)")
        return False
    return True


def after_half_a_line(file) -> str:
    """A line break where the file does not end in one, as after a crash: otherwise the next line would be damaged too."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return ""
    file.seek(size - 1)
    return "" if file.read(1) == b"\n" else "\n"


def solved() -> list[str]:
    """The exercises solved and not reset since, in the order of their numbers."""
    try:
        lines = progress_file().read_text(encoding="utf-8", errors="replace").split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        print(f"(Your progress cannot be read: {error.strerror}. `python -m lessons_lib` says more.)")
        return []
    done, damaged = set(), 0
    for i, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            exercise, event = entry["exercise"], entry["event"]
            as_numbers(exercise)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            damaged += i < len(lines)  # the last has no line end: it may be one that is being written
            continue
        if event == "right":
            done.add(exercise)
        elif exercise == "all":
            done.clear()
        else:
            done.discard(exercise)
    if damaged:
        print(f"(Your progress file has {damaged} damaged line{'s' * (damaged > 1)}, skipped.)")
    return sorted(done, key=as_numbers)


def reset(exercise: str = "all") -> None:
    """Forget that an exercise was solved, or all of them. Raises ValueError for a number: 6.10 without quotes is 6.1."""
    if not isinstance(exercise, str):
        raise ValueError(f'the number of an exercise stands in quotes: reset("{exercise}")')
    if exercise != "all" and exercise not in solved():
        print(f"Exercise {exercise} was not solved; nothing to reset.")
    elif record(exercise, "reset"):
        print("All exercises are open again." if exercise == "all" else f"Exercise {exercise} is open again.")


def progress() -> None:
    """Print, lesson by lesson, which exercises are solved."""
    done = solved()
    if not done:
        print('No exercise solved yet. Each check that answers "right" adds a line here.')
        return
    for lesson in LESSONS:
        try:
            numbers = list(importlib.import_module(f"lessons_lib.exercises.lesson{lesson}").CHECKS)
        except ModuleNotFoundError:
            continue
        mine = [number for number in numbers if number in done]
        print(f"Lesson {lesson}: {'●' * len(mine)}{'○' * (len(numbers) - len(mine))} {len(mine)} of {len(numbers)}"
              + (f", open: {' '.join(n for n in numbers if n not in done)}" if len(mine) < len(numbers) else ""))  # fmt: skip


def as_numbers(exercise: str) -> list[int]:
    return [int(part) if part.isdecimal() else 0 for part in exercise.split(".")]
