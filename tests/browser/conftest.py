"""JupyterLab as `make lab` starts it, and a browser on it. Skipped where no Chromium is installed."""

import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

from lessons_lib import lab

# Nothing that would reach out to the network, and what a container without a display needs.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START = """
import sys
from pathlib import Path
from lessons_lib import lab
lab.can_open_browser = lambda: False
lab.open_lab(Path(sys.argv[1]), int(sys.argv[2]))
"""
STDERR = '[data-mime-type="application/vnd.jupyter.stderr"]'  # how JupyterLab shows an exception, too
SECONDS = 1000  # Playwright counts in milliseconds


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of a JupyterLab with the learner's folder my/, that folder, and the token to enter."""
    root, token = tmp_path_factory.mktemp("lab"), secrets.token_hex(8)
    folders = {
        f"JUPYTER{name}_DIR": str(root / name) for name in ("LAB_SETTINGS", "LAB_WORKSPACES", "_RUNTIME")
    }
    with socket.socket() as probe:
        probe.bind((lab.HOST, 0))
        port = probe.getsockname()[1]
    (root / "my").mkdir()
    with (root / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", START, str(root), str(port)],
            env={**os.environ, **folders, "JUPYTER_TOKEN": token},
            stdout=log,
            stderr=log,
        )
    address = f"http://{lab.HOST}:{port}"
    try:
        for _ in range(150):
            try:
                urllib.request.urlopen(f"{address}/api/status?token={token}", timeout=5).close()
                break
            except OSError:
                assert process.poll() is None, (root / "log").read_text(encoding="utf-8")
                time.sleep(0.2)
        yield address, root / "my", token
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture(scope="module")
def browser():
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        pytest.skip("no Chromium on the PATH: the slider was not tried in a browser")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def run_all(browser, server):
    """run_all(path): a page on a copy of the notebook whose cells have all been run, and its errors.

    The errors are a list of what the console and failed requests say, which grows while the page is used.
    """
    address, folder, token = server

    def run(path: Path):
        notebook = nbformat.read(path, as_version=4)
        lab.strip(notebook)
        nbformat.write(notebook, folder / path.name)
        page, errors = browser.new_page(viewport={"width": 1280, "height": 1000}), []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("response", lambda r: errors.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(f"{address}/lab/tree/my/{path.name}?token={token}")
        page.get_by_text("| Idle").wait_for(timeout=30 * SECONDS)  # the kernel, in the status bar
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells").first.click()
        cells = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in notebook.cells)
        done = page.locator(".jp-CodeCell .jp-InputPrompt").filter(has_text=re.compile(r"\[\d+\]"))
        failed = page.locator(STDERR)
        done.nth(cells - 1).or_(failed.first).first.wait_for(state="attached", timeout=150 * SECONDS)
        assert failed.all_text_contents() == []
        return page, errors

    return run
