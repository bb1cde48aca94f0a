"""What `make lab` does with the learner's folder, with ports, and with JupyterLab itself."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import webbrowser
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from lessons_lib import lab


@pytest.fixture
def course(tmp_path) -> Path:
    """A repository with two executed lessons."""
    (tmp_path / "notebooks").mkdir()
    for name in (lab.START, "01_lesson.ipynb"):
        write_lesson(tmp_path / "notebooks" / name, "print(1)")
    return tmp_path


@pytest.fixture
def no_server(monkeypatch):
    """A command that should have ended before JupyterLab starts fails the test and does not block it."""
    monkeypatch.setattr(lab, "open_lab", lambda root, port: pytest.fail("JupyterLab was started"))


def write_lesson(path: Path, code: str) -> None:
    output = new_output("stream", name="stdout", text="the answer")
    cells = [new_markdown_cell("# A lesson"), new_code_cell(code, execution_count=1, outputs=[output])]
    notebook = new_notebook(cells=cells)
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    nbformat.write(notebook, path)


def copy(course: Path) -> tuple[list[str], list[str]]:
    return lab.copy_lessons(course / "notebooks", course / "my")


def test_every_lesson_is_copied_without_outputs_and_execution_counts(course):
    before = (course / "notebooks" / lab.START).read_bytes()
    assert copy(course) == ([lab.START, "01_lesson.ipynb"], [])
    for name in (lab.START, "01_lesson.ipynb"):
        notebook = nbformat.read(course / "my" / name, as_version=4)
        nbformat.validate(notebook)
        assert [cell.source for cell in notebook.cells] == ["# A lesson", "print(1)"]
        assert notebook.cells[1].outputs == []
        assert notebook.cells[1].execution_count is None
        assert "widgets" not in notebook.metadata
    assert (course / "notebooks" / lab.START).read_bytes() == before
    assert sorted(path.name for path in (course / "my").iterdir()) == [lab.START, "01_lesson.ipynb"]


@pytest.mark.parametrize("mine", [b"{}", b"[]", b"", b"\xff not even text"])
def test_a_copy_that_is_there_is_never_written_to(course, mine):
    (course / "my").mkdir()
    (course / "my" / "01_lesson.ipynb").write_bytes(mine)
    assert copy(course) == ([lab.START], [])
    assert (course / "my" / "01_lesson.ipynb").read_bytes() == mine


def test_a_lesson_added_later_is_copied_on_the_next_start(course):
    copy(course)
    write_lesson(course / "notebooks" / "02_new.ipynb", "print(2)")
    assert copy(course) == (["02_new.ipynb"], [])


def test_a_lesson_that_changed_after_its_copy_was_made_is_named(course):
    copy(course)
    write_lesson(course / "notebooks" / "01_lesson.ipynb", "print(2)")
    assert copy(course) == ([], ["01_lesson.ipynb"])
    (course / "my" / "01_lesson.ipynb").unlink()
    assert copy(course) == (["01_lesson.ipynb"], [])
    assert copy(course) == ([], [])


def test_the_learners_own_changes_and_new_outputs_of_a_lesson_are_not_a_changed_lesson(course):
    copy(course)
    mine = course / "my" / "01_lesson.ipynb"
    notebook = nbformat.read(mine, as_version=4)
    notebook.cells[1].source = "print('mine')"
    nbformat.write(notebook, mine)
    original = course / "notebooks" / "01_lesson.ipynb"
    notebook = nbformat.read(original, as_version=4)
    notebook.cells[1].outputs = []
    nbformat.write(notebook, original)
    assert copy(course) == ([], [])


def test_a_full_disk_leaves_no_half_copy(course, monkeypatch):
    def half(notebook, path):
        Path(path).write_text('{"cells": [', encoding="utf-8")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(nbformat, "write", half)
        with pytest.raises(OSError, match="No space left"):
            copy(course)
    assert copy(course) == ([lab.START, "01_lesson.ipynb"], [])


def test_missing_lessons_end_in_one_sentence(tmp_path, no_server):
    with pytest.raises(SystemExit, match=r"00_start_here\.ipynb is missing.*git checkout -- notebooks"):
        lab.main(tmp_path)
    assert not (tmp_path / "my").exists()


def test_a_damaged_lesson_is_named(course, no_server):
    (course / "notebooks" / "01_lesson.ipynb").write_text("<<<<<<< HEAD", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"git checkout -- notebooks/01_lesson\.ipynb"):
        lab.main(course)


def test_files_that_macos_leaves_beside_others_are_no_lessons(course):
    (course / "notebooks" / "._00_start_here.ipynb").write_bytes(b"\0\5\x16\7")
    copied, _ = lab.copy_lessons(course / "notebooks", course / "my")
    assert "._00_start_here.ipynb" not in copied
    assert copied


def test_a_relative_folder_of_data_is_told_to_the_notebooks_whole(course, monkeypatch):
    monkeypatch.setattr(lab, "open_lab", lambda *_: None)
    monkeypatch.setenv("LESSONS_DATA", "mine")
    lab.main(course)
    assert os.environ["LESSONS_DATA"] == str(Path.cwd() / "mine")


def test_a_home_that_cannot_be_used_ends_in_one_sentence(course, monkeypatch):
    def no_home(*_):
        raise NotADirectoryError("[Errno 20] Not a directory: '/dev/null/jupyter'")

    monkeypatch.setattr(lab, "open_lab", no_home)
    with pytest.raises(SystemExit, match="Not a directory: '/dev/null/jupyter'"):
        lab.main(course)


def test_a_missing_package_is_named_with_the_command_that_tells_more(course, monkeypatch, no_server):
    monkeypatch.setitem(sys.modules, "nbformat", None)
    with pytest.raises(SystemExit, match=r"nbformat is not installed here.*python -m lessons_lib"):
        lab.main(course)


@pytest.fixture
def taken_port():
    """A port that somebody else listens on, with a free one after it."""
    with socket.socket() as somebody:
        somebody.bind((lab.HOST, 0))
        somebody.listen()
        yield somebody.getsockname()[1]


def test_a_taken_port_moves_to_the_next_usable_one(taken_port):
    port = lab.usable_port(taken_port)
    assert taken_port < port < taken_port + 100
    assert lab.usable_port(port) == port


def test_no_usable_port_is_an_error(monkeypatch):
    def refuse(port, address):
        raise OSError(98, "Address already in use")

    monkeypatch.setattr("tornado.netutil.bind_sockets", refuse)
    with pytest.raises(OSError, match="No port from 65500 to 65535"):
        lab.usable_port(65500)


@pytest.mark.parametrize(("text", "port"), [("9000", 9000), ("", 8888), ("1", 1), ("65535", 65535)])
def test_the_environments_port_is_respected(monkeypatch, text, port):
    monkeypatch.setenv("PORT", text)
    assert lab.wanted_port() == port


@pytest.mark.parametrize("text", ["0", "65536", "-1", "80a", "8888.0"])
def test_a_port_that_is_none_ends_in_one_sentence(course, monkeypatch, no_server, text):
    monkeypatch.setenv("PORT", text)
    with pytest.raises(SystemExit, match=r"PORT is .* whole number from 1 to 65535"):
        lab.main(course)


def test_without_a_display_no_browser_is_tried(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(webbrowser, "get", lambda: "a text browser")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    assert not lab.can_open_browser()
    monkeypatch.setenv("DISPLAY", ":0")
    assert lab.can_open_browser()


def test_with_a_display_but_no_browser_none_is_tried(monkeypatch):
    def nothing():
        raise webbrowser.Error

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "get", nothing)
    assert not lab.can_open_browser()


def read_page(address: str) -> str:
    """The page at the address; Jupyter prints it a moment before it listens."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(address, timeout=30) as page:
                return page.read().decode("utf-8")
        except urllib.error.URLError as error:
            if not isinstance(error.reason, ConnectionRefusedError):
                raise
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens at {address}")


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C reaches a child process in another way on Windows")
def test_jupyterlab_answers_with_its_token_on_and_news_off_and_ends_on_ctrl_c(course, taken_port):
    no_display = {"DISPLAY": "", "WAYLAND_DISPLAY": "", "BROWSER": ""}
    code = "import sys, pathlib; from lessons_lib import lab; lab.main(pathlib.Path(sys.argv[1]))"
    keyboard, terminal = os.openpty()  # where nobody answers, should Ctrl-C ask back
    server = subprocess.Popen(
        [sys.executable, "-c", code, str(course)],
        env={**os.environ, **no_display, "PORT": str(taken_port)},
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        start_new_session=True,
    )
    watchdog = threading.Timer(60, server.kill)
    watchdog.start()
    try:
        said, address = [], None
        while not address and (line := server.stdout.readline()):
            said.append(line)
            address = re.search(r"http://127\.0\.0\.1:(\d+)(/\S*)\?token=\w+", line)
        assert address, "".join(said)
        assert f"Copied into my/: {lab.START}, 01_lesson.ipynb\n" in said
        assert f"Port {taken_port} is taken; using {address[1]}.\n" in said
        assert "No browser can be opened from here: open the address below in yours.\n" in said
        assert address[2] == f"/lab/tree/my/{lab.START}"
        html = read_page(address[0])
        assert '"@jupyterlab/apputils-extension:announcements"' in html.partition("disabledExtensions")[2]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/api/contents/my", timeout=30)
        server.send_signal(signal.SIGINT)
        rest = server.communicate(timeout=30)[0]
        assert server.returncode == 0, rest
        assert "Traceback" not in rest
    finally:
        watchdog.cancel()
        server.kill()
        server.wait()
        os.close(keyboard)
        os.close(terminal)
