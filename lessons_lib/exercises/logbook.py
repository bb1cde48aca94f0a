"""What you have solved: a local file of JSON lines that is only ever added to, in your user data folder. Nothing is sent.

Adding a line is one write, so two notebooks open at once do not lose each other's. A damaged line is skipped with a word.
"""

import importlib
import json
from datetime import datetime
from pathlib import Path

import platformdirs

__all__ = ["progress", "progress_file", "record", "reset", "solved"]

LESSONS = range(9)


def progress_file() -> Path:
    """Where your progress stands: `progress.jsonl` in the user data folder of lessons-lib."""
    return platformdirs.user_data_path("lessons-lib") / "progress.jsonl"


def record(exercise: str, event: str = "right") -> None:
    """Add one line. A folder that cannot be written costs the record, not the lesson: it says so and goes on."""
    if event == "right" and exercise in solved():
        return
    line = json.dumps(
        {"exercise": exercise, "event": event, "at": datetime.now().isoformat(timespec="seconds")}
    )
    try:
        progress_file().parent.mkdir(parents=True, exist_ok=True)
        with progress_file().open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        print(f"(Your progress could not be noted: {error.strerror}. `python -m lessons_lib` says more.)")


def solved() -> list[str]:
    """The exercises solved and not reset since, in the order of their numbers."""
    try:
        lines = progress_file().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    done, damaged = set(), 0
    for line in lines:
        try:
            entry = json.loads(line)
            exercise, event = entry["exercise"], entry["event"]
        except (ValueError, KeyError, TypeError):
            damaged += 1
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
    """Forget that an exercise was solved, or all of them."""
    record(exercise, "reset")
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
    return [int(part) if part.isdigit() else 0 for part in str(exercise).split(".")]
