"""Shared by the tests and by the notebooks that nbval runs. Read first: it moves home before anything is imported."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "tests"))

import private_home

private_home.enter()


WANTING = {
    "canonical": "the lectures' own data is not here (name its folder in LESSONS_DATA).",
    "browser": "no Chromium or Chrome was found. Install one (on Debian and Ubuntu: apt-get install chromium), or name"
    " yours in CHROMIUM, and run: make test-browser",
}


def pytest_terminal_summary(terminalreporter):
    """Say how much was not tested, and for want of what: a skipped test must not look like a passed one."""
    skipped = terminalreporter.stats.get("skipped", [])
    for marker, wanting in WANTING.items():
        if count := sum(marker in report.keywords for report in skipped):
            terminalreporter.write_line(f"{count} {marker} tests skipped: {wanting}")
