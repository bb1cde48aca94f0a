"""What the README says of the course is so: its tables, its commands, its links."""

import re
from pathlib import Path

import pytest

from lessons_lib import course, ladder

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def rows(text):
    """The rows of all tables, as lists of cells."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]


def hours(number):
    core, deeper = course.LESSONS[number].hours
    return f"{core:g} + {deeper:g}".replace("0.5", "½")


@pytest.mark.parametrize("number", course.LESSONS)
def test_the_map_tells_which_lessons_are_there_and_what_they_take(number):
    file, question, _ = course.LESSONS[number]
    [[_, title, time, seconds, megabytes, state]] = [row for row in rows(README) if row[0] == str(number)]
    assert title.endswith(question)
    assert time == hours(number)
    there = (ROOT / "notebooks" / f"{file}.ipynb").exists()
    assert state == ("ready" if there else "to come")
    assert (f"notebooks/{file}.ipynb" in title) == there
    assert [seconds, megabytes] == ([f"{x:.0f}" for x in course.measured()[file]] if there else ["", ""])


def test_the_first_page_takes_what_the_map_says():
    [row] = [row for row in rows(README) if row[0] == "0"]
    assert row[3:5] == [f"{x:.0f}" for x in course.measured()["00_start_here"]]


def test_the_ladder_is_the_committed_one():
    said = {row[0]: row for row in rows(README) if len(row) == 5}
    for rung in ladder.rungs():
        _, lesson, parameters, loss, words = said[rung.model]
        assert (lesson, parameters, loss) == (str(rung.lesson), str(rung.parameters), f"{rung.dev_loss:.4f}")
        assert set(words.split(", ")) <= set(rung.samples)


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_command_exists(text):
    targets = set(
        re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    named = set(re.findall(r"(?:`|^|PORT=\d+ )make ([a-z-]+)", text, re.MULTILINE))
    assert named
    assert named <= targets


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_every_file_that_is_linked_exists(text):
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_no_placeholder_is_left():
    assert not re.search(
        r"\b[A-Z]+_[A-Z0-9]+\b", README.replace("TORCH_INDEX", "").replace("LESSONS_DATA", "")
    )
