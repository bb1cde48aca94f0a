"""`python -m lessons_lib.lab`: the learner's copies of the lessons, and JupyterLab opened on them.

A learner works in my/, which git ignores, on copies without outputs: stored outputs would give the predictions away, and
edits in notebooks/ would stand in the way of `git pull`. A copy that is there is never written to again. Each copy keeps a
fingerprint of the lesson it was made from, so a lesson that has changed since then can be named.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import webbrowser
from pathlib import Path

# nbformat, tornado and jupyterlab are imported where they are used: where they are missing, the learner gets a
# sentence that says what to do, not a traceback.

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Path(__file__).resolve().parent / "jupyter"  # turns JupyterLab's news pop-up off
START = "00_start_here.ipynb"
HOST = "127.0.0.1"


def fingerprint(notebook) -> str:
    """SHA-256 of what a learner reads: the cells' types and sources, in order; outputs and metadata do not count."""
    cells = [(cell.cell_type, cell.source) for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode("utf-8")).hexdigest()


def fingerprint_in(copy: Path) -> str | None:
    """The fingerprint that a copy keeps of its lesson; None where the learner's file no longer tells."""
    try:
        return json.loads(copy.read_text(encoding="utf-8"))["metadata"]["lessons_lib"]["copied_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def strip(notebook) -> None:
    """Remove outputs, execution counts and widget state, in place."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
            cell.execution_count = None
            cell.metadata.pop("execution", None)


def copy_lessons(originals: Path, copies: Path) -> tuple[list[str], list[str]]:
    """Copy every lesson that has no copy yet; leave all others as they are.

    Args:
        originals: the folder of the executed lessons.
        copies: the learner's folder; made where it is missing.

    Returns:
        Two lists of file names: lessons copied now, and lessons that changed after their copy was made.

    Raises:
        FileNotFoundError: the first lesson is not in `originals`.
        ValueError: a lesson is not a notebook that can be read.
    """
    import nbformat

    if not (originals / START).is_file():
        raise FileNotFoundError(
            f"{originals.name}/{START} is missing. Bring the lessons back: git checkout -- notebooks"
        )
    copies.mkdir(parents=True, exist_ok=True)
    copied, changed = [], []
    for original in sorted(originals.glob("[!.]*.ipynb")):
        try:
            notebook = nbformat.read(original, as_version=4)
            now = fingerprint(notebook)
        except Exception as error:  # nbformat raises many kinds, depending on how the file is damaged
            name = f"{originals.name}/{original.name}"
            raise ValueError(
                f"{name} cannot be read as a notebook. Bring it back: git checkout -- {name}"
            ) from error
        copy = copies / original.name
        if copy.exists():
            if fingerprint_in(copy) not in (None, now):
                changed.append(original.name)
            continue
        strip(notebook)
        notebook.metadata["lessons_lib"] = {"copied_from": now}
        # Written beside its place first: half a file, after a full disk, would otherwise pass for the learner's own.
        part = copies / f".{original.stem}.part"
        nbformat.write(notebook, part)
        part.rename(copy)
        copied.append(original.name)
    return copied, changed


def wanted_port() -> int:
    """The port in the environment's PORT, or 8888. Raises ValueError where PORT is not a port number."""
    text = os.environ.get("PORT") or "8888"
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise ValueError(f"PORT is {text!r}, but must be a whole number from 1 to 65535.")
    return int(text)


def usable_port(first: int) -> int:
    """The first port from `first` on, on this machine only, that a server can listen on. Raises OSError after 100."""
    from tornado.netutil import bind_sockets

    last = min(first + 99, 65535)
    for port in range(first, last + 1):
        try:
            sockets = bind_sockets(port, HOST)
        except OSError:  # taken, or reserved by the system
            continue
        for listener in sockets:
            listener.close()
        return port
    raise OSError(f"No port from {first} to {last} can be used. Name another one: PORT=...")


def can_open_browser() -> bool:
    """Whether a window can be opened. A text browser does not count: it would take the terminal from the server."""
    display = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
    if sys.platform == "linux" and not display:
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


def open_lab(root: Path, port: int) -> None:
    """Run JupyterLab on `root` until Ctrl-C. Its token stays on and it listens on this machine only."""
    # A folder of settings in front of the learner's own, which stay as they are.
    folders = [str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH", "")]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, folders))
    from jupyterlab.labapp import LabApp

    browser = can_open_browser()
    if not browser:
        print("No browser can be opened from here: open the address below in yours.")
    print("Ctrl-C ends JupyterLab.", flush=True)
    LabApp.launch_instance(
        [
            f"--ServerApp.ip={HOST}",
            f"--ServerApp.port={port}",
            f"--ServerApp.root_dir={root}",
            f"--LabApp.default_url=/lab/tree/my/{START}",
            f"--LabApp.open_browser={browser}",
            "--ServerApp.answer_yes=True",  # Ctrl-C ends it at once, without asking back
            "--ServerApp.allow_root=True",  # in a container there is often no other user
            "--log-level=WARN",
            "--LabApp.log_level=WARN",
        ]
    )


def main(root: Path = ROOT) -> None:
    """Copy, say what was copied, and open JupyterLab. Ends with one sentence and status 1 where that cannot be done."""
    # The notebooks run in my/, where a relative path leads elsewhere.
    if folder := os.environ.get("LESSONS_DATA"):
        os.environ["LESSONS_DATA"] = os.path.abspath(os.path.expanduser(folder))
    try:
        copied, changed = copy_lessons(root / "notebooks", root / "my")
        wanted = wanted_port()
        port = usable_port(wanted)
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed here. What to do about it: python -m lessons_lib")
    except (OSError, ValueError) as error:
        sys.exit(str(error))
    print(f"Copied into my/: {', '.join(copied)}" if copied else "my/ has a copy of every lesson.")
    for name in changed:
        print(f"{name} has changed since my/{name} was made. For a fresh copy rename or delete yours.")
    if port != wanted:
        print(f"Port {wanted} is taken; using {port}.")
    try:
        open_lab(root, port)
    except ModuleNotFoundError as error:
        sys.exit(f"{error.name} is not installed here. What to do about it: python -m lessons_lib")
    except OSError as error:  # a home in which Jupyter cannot keep its own files
        sys.exit(str(error))


if __name__ == "__main__":
    main()
