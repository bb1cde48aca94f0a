"""Progress survives two notebooks at once, damage to its file, and a folder that cannot be written."""

import os
import subprocess
import sys

import pytest

from lessons_lib import exercises
from lessons_lib.exercises import logbook as book


@pytest.fixture(autouse=True)
def own_file(tmp_path, monkeypatch):
    monkeypatch.setattr(book, "progress_file", lambda: tmp_path / "user" / "progress.jsonl")
    return tmp_path / "user" / "progress.jsonl"


def right(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def test_progress_is_told_by_lesson(capsys):
    exercises.progress()
    assert "No exercise solved yet" in capsys.readouterr().out
    book.record("1.2")
    book.record("1.1")
    exercises.progress()
    assert "Lesson 1: ●●○○○○○○ 2 of 8, open: 1.3 1.4" in capsys.readouterr().out


def test_one_exercise_or_all_can_be_opened_again():
    for number in ("1.1", "1.2", "1.10"):
        book.record(number)
    assert book.solved() == ["1.1", "1.2", "1.10"]
    exercises.reset("1.1")
    assert book.solved() == ["1.2", "1.10"]
    book.record("1.1")
    assert book.solved() == ["1.1", "1.2", "1.10"]
    exercises.reset()
    assert book.solved() == []


def test_a_damaged_line_is_skipped_with_a_word(own_file, capsys):
    book.record("1.1")
    with own_file.open("ab") as file:
        file.write(b'{"exercise": "1.2", "ev\n[1]\n\xff\xfe\n')
    book.record("1.3")
    capsys.readouterr()
    assert book.solved() == ["1.1", "1.3"]
    assert "3 damaged lines, skipped" in capsys.readouterr().out


def test_a_folder_that_cannot_be_written_costs_no_lesson(own_file, capsys):
    own_file.parent.write_text("a file where the folder should be", encoding="utf-8")
    exercises.check("1.1", right)
    out = capsys.readouterr().out
    assert "could not be noted" in out
    assert "1.1 right." in out


WRITER = """import importlib.util, pathlib, sys

spec = importlib.util.spec_from_file_location("logbook", sys.argv[1])
logbook = importlib.util.module_from_spec(spec)
spec.loader.exec_module(logbook)  # alone, without waiting for torch
logbook.progress_file = lambda: pathlib.Path(sys.argv[2])
print("ready", flush=True)
input()
for i in range(50):
    logbook.record(f"{sys.argv[3]}.{i}")
"""


def test_notebooks_open_at_once_lose_no_progress(own_file):
    pipe = subprocess.PIPE
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, book.__file__, str(own_file), str(lesson)], stdin=pipe, stdout=pipe
        )
        for lesson in range(4)
    ]
    for writer in writers:
        assert writer.stdout.readline().strip() == b"ready"
    for writer in writers:
        writer.stdin.write(b"\n")
        writer.stdin.flush()
    assert [writer.communicate()[0] for writer in writers] == [b""] * 4
    assert book.solved() == [f"{lesson}.{i}" for lesson in range(4) for i in range(50)]
    assert len(list(filter(None, own_file.read_bytes().splitlines()))) == 200  # an empty line does no harm


def test_half_a_line_of_a_crash_damages_no_other(own_file, capsys):
    book.record("1.1")
    with own_file.open("ab") as file:
        file.write(b'{"exercise": "1.2", "ev')
    assert book.solved() == ["1.1"]
    assert capsys.readouterr().out == ""  # it may be a line that another notebook is just writing
    book.record("1.3")
    book.record("1.4")
    capsys.readouterr()
    assert book.solved() == ["1.1", "1.3", "1.4"]
    assert "1 damaged line, skipped" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line", ['{"exercise": [1], "event": "right"}', '{"exercise": 1, "event": "right"}', "[" * 99_999]
)
def test_a_line_of_another_kind_is_damaged(own_file, line):
    book.record("1.1")
    with own_file.open("a", encoding="utf-8") as file:
        file.write(line + "\n\n")
    assert book.solved() == ["1.1"]


def test_resetting_says_what_happened(own_file, capsys):
    exercises.reset("1.99")
    book.record("1.2")
    exercises.reset("1.2")
    exercises.reset()
    assert capsys.readouterr().out.splitlines() == [
        "Exercise 1.99 was not solved; nothing to reset.",
        "Exercise 1.2 is open again.",
        "All exercises are open again.",
    ]


def test_a_reset_that_could_not_be_noted_does_not_claim_to_have_happened(own_file, capsys):
    own_file.parent.write_text("a file where the folder should be", encoding="utf-8")
    exercises.reset()
    out = capsys.readouterr().out
    assert "could not be noted" in out
    assert "open again" not in out


def test_a_number_without_quotes_is_refused_since_it_may_be_another(own_file):
    book.record("6.1")
    book.record("6.10")
    with pytest.raises(ValueError, match=r'in quotes: reset\("6.1"\)'):
        exercises.reset(6.10)
    assert book.solved() == ["6.1", "6.10"]


@pytest.mark.skipif(os.name != "posix", reason="the limit is a POSIX one")
def test_half_a_line_on_a_full_disk_is_not_called_noted(own_file):
    code = (
        "import pathlib, resource, signal, sys; from lessons_lib.exercises import logbook; "
        "logbook.progress_file = lambda: pathlib.Path(sys.argv[1]); logbook.record('1.1'); "
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); size = logbook.progress_file().stat().st_size + 20; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)); print(logbook.record('1.2'), logbook.solved())"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(own_file)], capture_output=True, text=True, timeout=60
    )
    assert said.stdout.splitlines() == [
        "(Your progress could not be noted: No space left on device. `python -m lessons_lib` says more.)",
        "False ['1.1']",
    ]


def test_a_file_that_cannot_be_read_is_not_called_empty(own_file, capsys):
    own_file.parent.mkdir(parents=True, exist_ok=True)
    own_file.mkdir()  # reading it fails, also for an administrator
    assert book.solved() == []
    assert "Your progress cannot be read: Is a directory" in capsys.readouterr().out
