"""Shared by the tests and by the notebooks that nbval runs. Read first: it moves home before anything is imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "tests"))

import private_home

private_home.enter()


def pytest_terminal_summary(terminalreporter):
    """Say how much was not tested for want of the lectures' own data: a skipped test must not look like a passed one."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if "canonical" in r.keywords]
    if skipped:
        terminalreporter.write_line(
            f"{len(skipped)} canonical tests skipped: the lectures' own data is not here (name its folder in LESSONS_DATA)."
        )
