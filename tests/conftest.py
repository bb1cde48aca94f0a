"""What several test files need before they begin: one thread, an environment of one's own for the command of lesson 8, a short text."""

import signal

import pytest
import torch

from lessons_lib.data import load_text


@pytest.fixture
def one_thread():
    """For matrices of this size a second thread only costs."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def own_settings(monkeypatch):
    """Interrupts are heard even where a shell has put the tests into the background, and no setting of ours stays."""
    for name in ("LESSONS_THREADS", "RANK", "WORLD_SIZE", "LOCAL_RANK", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    earlier, threads = signal.signal(signal.SIGINT, signal.default_int_handler), torch.get_num_threads()
    yield
    signal.signal(signal.SIGINT, earlier)
    torch.set_num_threads(threads)


@pytest.fixture
def text(tmp_path):
    """A file with the beginning of the plays, as somebody's own text."""
    path = tmp_path / "mine.txt"
    path.write_text(load_text()[:1500], encoding="utf-8")
    return path
