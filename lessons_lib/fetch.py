"""The lectures' own data files, exact to the byte: from a folder of yours, from the cache, or fetched once.

Losses are compared with the numbers of the lectures, and a file that differs in one byte has other numbers. So every copy
is checked by SHA-256 whenever it is read, wherever it comes from. Nothing else is ever put in its place: a file that cannot
be had is an error with one sentence on what to do.
"""

import hashlib
import os
import tempfile
import warnings
from pathlib import Path
from typing import NamedTuple

import platformdirs

# pooch and requests take a tenth of a second to import, and are needed once in the life of a cache: see `_download`.

__all__ = ["LECTURES", "Published", "cache", "fetch"]

TIMEOUT = 10  # seconds without a byte before the other side is given up


class Published(NamedTuple):
    """file: its name in LESSONS_DATA and in the cache. url: where its author publishes it."""

    file: str
    sha256: str
    url: str


LECTURES = {
    "makemore": Published(
        "names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        "https://raw.githubusercontent.com/karpathy/makemore/master/names.txt",
    ),
    "tinyshakespeare": Published(
        "tinyshakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
    ),
}
"""The data sets of the lectures. They are not part of the course and never committed to it."""


def cache() -> Path:
    """The folder where fetched files stay, as this system wants it: ~/.cache/lessons-lib on Linux."""
    return platformdirs.user_cache_path("lessons-lib")


def fetch(which: str) -> bytes:
    """The content of a lecture's file, by its name in LECTURES.

    Where the environment variable LESSONS_DATA names a folder, that folder decides: nothing is looked for elsewhere.
    Otherwise the cache, and if there is no good copy in it, the network. A cache that cannot be written is a warning, and
    the file is fetched for this time only.

    Raises FileNotFoundError where LESSONS_DATA has no such file, ConnectionError where it cannot be downloaded, ValueError
    where what was found or downloaded is another file; such a download is not kept.
    """
    lecture = LECTURES[which]
    if folder := os.environ.get("LESSONS_DATA"):
        return _from_folder(which, Path(os.path.expanduser(folder)))
    try:
        content = (cache() / lecture.file).read_bytes()
        if _is(content, lecture.sha256):
            return content
    except OSError:
        pass  # no copy, or none that can be read
    try:
        return _download(which, cache())
    except ConnectionError:
        raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        warnings.warn(
            f'"{which}" cannot be kept in {cache()} ({reason}), so it is fetched for this time only.',
            stacklevel=4,  # the learner's line: load_names, its reader and this function lie between
        )
    with tempfile.TemporaryDirectory() as folder:
        return _download(which, Path(folder))


def _from_folder(which: str, folder: Path) -> bytes:
    lecture = LECTURES[which]
    path = folder / lecture.file
    if not path.is_file():
        raise FileNotFoundError(
            f"LESSONS_DATA is set, but {path} does not exist. Save {lecture.url} there under that name, "
            "or unset LESSONS_DATA to have it fetched."
        )
    content = path.read_bytes()
    if not _is(content, lecture.sha256):
        raise ValueError(
            f'{path} is not the "{which}" of the lectures, byte for byte (its SHA-256 differs; changed line ends are '
            f"enough). Save {lecture.url} there unchanged, or unset LESSONS_DATA to have it fetched."
        )
    return content


def _download(which: str, folder: Path) -> bytes:
    """Fetch into `folder`. pooch writes under a temporary name and renames only what has the right hash."""
    import pooch
    import requests

    file, sha256, url = LECTURES[which]
    instead = (
        f"get that file another way, save it as {file} in a folder and name the folder in the environment variable "
        "LESSONS_DATA, or stay with the bundled data."
    )
    try:
        path = pooch.retrieve(
            url,
            known_hash=f"sha256:{sha256}",
            fname=file,
            path=folder,
            downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
        )
    except requests.RequestException as error:
        # Its own text is pages long, and a chained traceback would bury the sentence.
        answer = getattr(error, "response", None)
        reason = type(error).__name__ if answer is None else f"{answer.status_code} {answer.reason}"
        raise ConnectionError(
            f'"{which}" could not be downloaded from {url} ({reason}): try again with a working network, or {instead}'
        ) from None
    except ValueError:
        raise ValueError(
            f'what {url} delivered is not the "{which}" of the lectures (its SHA-256 differs), and was not kept. The log-in '
            f"page of a network does that: try again from another network, or {instead}"
        ) from None
    return Path(path).read_bytes()


def _is(content: bytes, sha256: str) -> bool:
    return hashlib.sha256(content).hexdigest() == sha256
