"""The lectures' files are had exactly or not at all. The network of these tests is a server on this machine, and nothing else."""

import hashlib
import http.server
import os
import socket
import sys
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import platformdirs
import pytest

from lessons_lib import fetch as module
from lessons_lib.data import DATA, load_names, load_text
from lessons_lib.fetch import LECTURES, Published, fetch

NAMES = b"".join(b"name%s\n" % (b"abcdefghij"[i % 10 : i % 10 + 1] * (i // 10 + 1)) for i in range(500))
SHA = hashlib.sha256(NAMES).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Answers as its `behaviour` says, and counts what it was asked."""

    daemon_threads = True
    behaviour = "whole"
    asked = 0


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked += 1
        behaviour, content = self.server.behaviour, NAMES
        if behaviour == "silent":
            time.sleep(2)
            return
        if behaviour == "other":
            content = b"<html>Please log in to this network.</html>"
        self.send_response(404 if behaviour == "missing" else 200)
        if behaviour != "early, length unknown":
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if behaviour.startswith("early") else content)

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """No test here reaches further, whatever it gets wrong; and a proxy of the machine's user is not asked."""
    look_up = socket.getaddrinfo

    def local(host, *args, **kwargs):
        assert host == "127.0.0.1", f"a test asked the network for {host}"
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("LESSONS_DATA", raising=False)


@pytest.fixture
def server(monkeypatch):
    """A server that publishes 500 names under the name of makemore."""
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{running.server_port}/names.txt"
        monkeypatch.setitem(LECTURES, "makemore", Published("names.txt", SHA, url))
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch):
    """Every connection is refused: nobody listens at a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{probe.getsockname()[1]}/file.txt"
    for which, (file, sha256, _) in list(LECTURES.items()):
        monkeypatch.setitem(LECTURES, which, Published(file, sha256, url))
    return url


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The cache of this test: a folder that is not there yet."""
    folder = tmp_path / "user" / "cache"
    monkeypatch.setattr(module, "cache", lambda: folder)
    return folder


def kept(folder):
    """What stands in a folder: names and contents."""
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def assert_stands_alone(error):
    """The pages of requests' own traceback would bury the sentence."""
    assert error.__suppress_context__
    assert error.__cause__ is None


# What goes well.


def test_a_file_is_fetched_once_and_then_read_from_the_cache(server, cache):
    assert fetch("makemore") == NAMES
    assert kept(cache) == {"names.txt": NAMES}
    assert fetch("makemore") == NAMES
    assert server.asked == 1


def test_the_names_of_a_fetched_file_are_its_lines(server):
    assert load_names("makemore") == NAMES.decode().splitlines()


def test_a_copy_in_the_cache_needs_no_network(no_network, cache, monkeypatch):
    monkeypatch.setitem(LECTURES, "makemore", Published("names.txt", SHA, no_network))
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(NAMES)
    assert fetch("makemore") == NAMES


def test_a_damaged_copy_in_the_cache_is_fetched_again(server, cache):
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(NAMES[:-1])
    assert fetch("makemore") == NAMES
    assert kept(cache) == {"names.txt": NAMES}


def test_the_folder_in_lessons_data_is_read_and_nothing_else_asked(server, tmp_path, cache, monkeypatch):
    (tmp_path / "names.txt").write_bytes(NAMES)
    monkeypatch.setenv("LESSONS_DATA", str(tmp_path))
    assert fetch("makemore") == NAMES
    assert (server.asked, kept(cache)) == (0, {})


def test_an_empty_lessons_data_is_none(server, monkeypatch):
    monkeypatch.setenv("LESSONS_DATA", "")
    assert fetch("makemore") == NAMES


def test_the_cache_is_the_systems_own_place_for_it(monkeypatch):
    monkeypatch.undo()
    assert module.cache() == platformdirs.user_cache_path("lessons-lib")


def test_two_notebooks_that_fetch_at_once_both_get_the_file(server, cache):
    with ThreadPoolExecutor(4) as notebooks:
        assert list(notebooks.map(fetch, ["makemore"] * 8)) == [NAMES] * 8
    assert kept(cache) == {"names.txt": NAMES}


# A folder of the learner's that has not the right file.

BOTH = pytest.mark.parametrize(
    ("load", "which", "file"),
    [(load_names, "makemore", "names.txt"), (load_text, "tinyshakespeare", "tinyshakespeare.txt")],
)


@BOTH
def test_a_folder_without_the_file_is_an_error_that_says_what_to_save_there(
    server, tmp_path, cache, monkeypatch, load, which, file
):
    monkeypatch.setenv("LESSONS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        load(which)
    for words in (f"{tmp_path / file} does not exist", LECTURES[which].url, "unset LESSONS_DATA"):
        assert words in str(error.value)
    assert (server.asked, kept(cache)) == (0, {})


@BOTH
def test_a_bundled_file_is_never_taken_for_the_lectures(tmp_path, monkeypatch, load, which, file):
    (tmp_path / file).write_bytes((DATA / "names.txt").read_bytes())
    monkeypatch.setenv("LESSONS_DATA", str(tmp_path))
    with pytest.raises(
        ValueError, match=f'{file} is not the "{which}" of the lectures.*Save https://.* unchanged'
    ):
        load(which)


def test_changed_line_ends_make_another_file(server, tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_bytes(NAMES.replace(b"\n", b"\r\n"))
    monkeypatch.setenv("LESSONS_DATA", str(tmp_path))
    with pytest.raises(ValueError, match="changed line ends are enough"):
        load_names("makemore")


# Downloads that fail. Nothing is kept, and a good copy of the past would have been used.


@pytest.mark.filterwarnings("error:.*cannot be kept")  # the cache is in order
@BOTH
def test_without_network_and_copy_one_sentence_says_what_to_do(no_network, cache, load, which, file):
    with pytest.raises(ConnectionError) as error:
        load(which)
    said = str(error.value)
    for words in (
        f'"{which}" could not be downloaded from {no_network} (ConnectionError)',
        "LESSONS_DATA",
        file,
    ):
        assert words in said
    assert "\n" not in said
    assert_stands_alone(error.value)
    assert kept(cache) == {}


def test_a_damaged_copy_is_not_used_for_want_of_a_network(no_network, cache):
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(b"emma\nolivia\n")
    with pytest.raises(ConnectionError, match="could not be downloaded"):
        load_names("makemore")


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        ("early", ConnectionError, r"\(ChunkedEncodingError\): try again"),
        ("early, length unknown", ValueError, "SHA-256 differs"),
    ],
)
def test_a_download_that_breaks_off_leaves_nothing_behind(server, cache, behaviour, error, words):
    server.behaviour = behaviour
    with pytest.raises(error, match=words):
        fetch("makemore")
    assert kept(cache) == {}
    server.behaviour = "whole"
    assert fetch("makemore") == NAMES


def test_a_download_that_breaks_off_leaves_the_old_copy_alone(server, cache):
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(b"old")
    server.behaviour = "early"
    with pytest.raises(ConnectionError):
        fetch("makemore")
    assert kept(cache) == {"names.txt": b"old"}


def test_interrupting_the_kernel_leaves_nothing_behind(server, cache, monkeypatch):
    import pooch

    def interrupted(self, url, output_file, pooch):
        with open(output_file, "wb") as file:
            file.write(NAMES[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch("makemore")
    assert kept(cache) == {}


def test_a_file_with_the_wrong_hash_is_refused_and_not_kept(server, cache):
    server.behaviour = "other"
    with pytest.raises(
        ValueError, match=r'is not the "makemore" of the lectures.*was not kept.*LESSONS_DATA'
    ) as error:
        load_names("makemore")
    assert_stands_alone(error.value)
    assert kept(cache) == {}


def test_an_address_that_is_gone_is_told_with_the_servers_answer(server, cache):
    server.behaviour = "missing"
    with pytest.raises(ConnectionError, match=r"names\.txt \(404 Not Found\): try again"):
        load_names("makemore")
    assert (server.asked, kept(cache)) == (1, {})


def test_a_server_that_never_answers_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", 0.2)
    server.behaviour = "silent"
    with pytest.raises(ConnectionError, match=r"\(ReadTimeout\): try again"):
        load_names("makemore")
    assert kept(cache) == {}


# Caches that cannot be written.


def test_where_a_file_stands_in_the_place_of_the_cache_the_names_come_with_a_warning(server, cache):
    cache.parent.mkdir()
    cache.write_text("not a folder", encoding="utf-8")
    with pytest.warns(
        UserWarning, match="cannot be kept in .*, so it is fetched for this time only"
    ) as warned:
        assert load_names("makemore") == NAMES.decode().splitlines()
    assert warned[0].filename == __file__, "the warning points at the learner's line"
    assert cache.read_text(encoding="utf-8") == "not a folder"


@pytest.mark.parametrize("there", [False, True], ids=["folder not there", "folder there"])
def test_a_cache_that_may_not_be_written_is_done_without(server, cache, monkeypatch, there):
    import pooch.utils

    if there:
        cache.mkdir(parents=True)

    def refused(what):
        # Root, who may run these tests, is refused nothing: so the system's answer is played.
        def call(*args, dir=None, **kwargs):
            if str(dir or args[0]).startswith(str(cache)):
                raise PermissionError(13, "Permission denied", str(cache))
            return what(*args, **({"dir": dir} if dir else {}), **kwargs)

        return call

    monkeypatch.setattr(pooch.utils.os, "makedirs", refused(os.makedirs))
    monkeypatch.setattr(
        pooch.utils.tempfile, "NamedTemporaryFile", refused(pooch.utils.tempfile.NamedTemporaryFile)
    )
    with pytest.warns(UserWarning, match=r"cannot be kept in .*cache \(PermissionError\), so"):
        assert fetch("makemore") == NAMES
    assert kept(cache) == {}


def test_a_read_only_cache_with_a_good_copy_is_read_in_silence(no_network, cache, monkeypatch):
    monkeypatch.setitem(LECTURES, "makemore", Published("names.txt", SHA, no_network))
    cache.mkdir(parents=True)
    (cache / "names.txt").write_bytes(NAMES)
    cache.chmod(0o555)
    monkeypatch.setitem(sys.modules, "pooch", None)  # importing it is an error now: nobody is asked
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fetch("makemore") == NAMES


def test_a_full_disk_is_done_without_too(server, cache, monkeypatch):
    import pooch.core

    move = pooch.core.shutil.move

    def full(source, target):
        if str(target).startswith(str(cache)):
            raise OSError(28, "No space left on device")
        return move(source, target)

    monkeypatch.setattr(pooch.core.shutil, "move", full)
    with pytest.warns(UserWarning, match=r"\(No space left on device\)"):
        assert fetch("makemore") == NAMES
    assert kept(cache) == {}


def test_without_cache_and_network_the_error_is_the_networks(no_network, cache):
    cache.parent.mkdir()
    cache.write_text("not a folder", encoding="utf-8")
    with (
        pytest.warns(UserWarning, match="cannot be kept"),
        pytest.raises(ConnectionError, match="downloaded"),
    ):
        load_names("makemore")
