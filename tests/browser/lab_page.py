"""JupyterLab as `make lab` starts it, Chromium, and a notebook of the course on a page of it. The benchmarks use it, too."""

import ast
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import BlockingKernelClient
from nbformat import v4
from playwright.sync_api import Browser, Locator, sync_playwright

from lessons_lib import lab

__all__ = ["NOTEBOOKS", "SECONDS", "Lab", "Notebook", "chromium", "chromium_path", "jupyterlab"]

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
# Nothing that would reach out to the network, and what a container without a display needs.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
START = "import pathlib, sys; from lessons_lib import lab; lab.main(pathlib.Path(sys.argv[1]))"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
OWN_NOISE = "Could not restore the debugger state"  # JupyterLab, where a kernel is restarted while its debugger asks it something
STDERR = '[data-mime-type="application/vnd.jupyter.stderr"]'  # how JupyterLab shows an exception, too
SECONDS = 1000  # Playwright counts in milliseconds


def chromium_path() -> str | None:
    """The program that CHROMIUM names, or a Chromium or Chrome on the PATH; None where there is neither."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium, driven by Playwright, which would otherwise fetch one of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield browser
        browser.close()


class Lab:
    """A running JupyterLab. folder: the learner's my/; runtime: where the kernels are written down; user: the user's data."""

    def __init__(self, root: Path, port: int):
        self.address, self.token = f"http://{lab.HOST}:{port}", secrets.token_hex(8)
        self.folder, self.runtime, self.user = root / "my", root / "runtime", root / "user"

    def write(self, name: str, *cells: str) -> None:
        """Put a notebook of these code cells into the learner's folder."""
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        made = v4.new_notebook(cells=list(map(v4.new_code_cell, cells)), metadata={"kernelspec": kernel})
        nbformat.write(made, self.folder / name)

    def request(self, path: str, method: str = "GET") -> Any:
        """What the server answers, as Python objects."""
        headers = {"Authorization": f"token {self.token}"}
        request = urllib.request.Request(f"{self.address}/api/{path}", method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")


@contextmanager
def jupyterlab(root: Path, seconds: float = 120) -> Iterator[Lab]:
    """The course opened by the function behind `make lab`, on a free port: copies in root/my, a user folder of its own.

    Raises RuntimeError with the server's words where it ends, or does not answer in time.
    """
    with socket.socket() as probe:
        probe.bind((lab.HOST, 0))
        here = Lab(root, probe.getsockname()[1])
    originals = root / "notebooks"
    originals.mkdir()
    for path in NOTEBOOKS:
        shutil.copy(path, originals)
    environment = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    environment |= {f"JUPYTER_{name}_DIR": str(root / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    environment |= {f"JUPYTERLAB_{name}_DIR": str(root / name.lower()) for name in ("SETTINGS", "WORKSPACES")}
    environment |= {"XDG_DATA_HOME": str(here.user), "JUPYTER_TOKEN": here.token}
    environment |= {"PORT": here.address.rpartition(":")[2]}
    command, log = [sys.executable, "-c", START, str(root)], root / "log"
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    end = time.monotonic() + seconds
    try:
        while True:
            try:
                here.request("status")
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > end:
                    raise RuntimeError(log.read_text(encoding="utf-8")) from None
                time.sleep(0.2)
        yield here
    finally:
        process.terminate()
        process.wait(timeout=30)


class Notebook:
    """A notebook of my/ on a page of its own. errors: what console, page and failed requests have said so far."""

    def __init__(self, browser: Browser, lab: Lab, name: str):
        self.name, self.lab, self.has_run = name, lab, False
        self.page, self.errors = browser.new_page(viewport={"width": 1280, "height": 1000}), []
        page = self.page

        def note(error: str) -> None:
            if not error.startswith(OWN_NOISE):
                self.errors.append(error)

        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: note(str(error)))
        page.on(
            "response", lambda answer: note(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        )
        page.goto(f"{lab.address}/lab/tree/my/{name}?token={lab.token}&reset")
        page.get_by_text("| Idle").wait_for(timeout=60 * SECONDS)  # the kernel, in the status bar

    def restart_and_run_all(self, seconds: float = 300) -> None:
        """As the menu does it. Raises AssertionError where a cell fails or writes to stderr."""
        page = self.page
        page.get_by_role("menuitem", name="Kernel", exact=True).click()
        page.get_by_role("menuitem", name="Restart Kernel and Run All Cells").click()
        page.get_by_role("button", name="Confirm Kernel Restart").click()
        stored = nbformat.read(self.lab.folder / self.name, as_version=4)
        cells = sum(cell.cell_type == "code" and bool(cell.source.strip()) for cell in stored.cells)
        done = page.locator(".jp-CodeCell .jp-InputPrompt").filter(has_text=re.compile(r"\[\d+\]"))
        failed = page.locator(STDERR)
        last = done.nth(cells - 1).or_(failed.first).first
        last.wait_for(state="attached", timeout=seconds * SECONDS)
        assert failed.all_text_contents() == []
        self.has_run = True

    def cell(self, index: int) -> Locator:
        """A cell by its place in the file, from 0."""
        return self.page.locator(".jp-Cell").nth(index)

    @property
    def _session(self) -> dict:
        return next(s for s in self.lab.request("sessions") if s["path"].endswith(self.name))

    def ask(self, code: str, expression: str = "None", seconds: float = 60) -> Any:
        """Run code beside the cells, in the notebook's kernel, and return the expression's value: numbers, strings, bytes, lists."""
        file = self.lab.runtime / f"kernel-{self._session['kernel']['id']}.json"
        client = BlockingKernelClient(connection_file=str(file))
        client.load_connection_file()
        client.start_channels(iopub=False, stdin=False, hb=False)
        try:
            wish = {"answer": expression}
            message = client.execute(code, silent=True, user_expressions=wish, reply=True, timeout=seconds)
        finally:
            client.stop_channels()
        content = message["content"]
        answer = content["user_expressions"]["answer"] if content["status"] == "ok" else content
        if answer["status"] != "ok":
            raise RuntimeError(f"{answer['ename']}: {answer['evalue']}")
        return ast.literal_eval(answer["data"]["text/plain"])

    def close(self) -> None:
        """End its kernel, which may hold much memory, and close the page."""
        session = self._session["id"]
        self.page.close()
        self.lab.request(f"sessions/{session}", "DELETE")
