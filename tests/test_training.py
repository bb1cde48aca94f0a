"""`setup` fixes torch's threads, refuses nonsense in a sentence, and costs no more than importing torch."""

import subprocess
import sys

import pytest
import torch

from lessons_lib.training import setup


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch):
    monkeypatch.delenv("LESSONS_THREADS", raising=False)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_one_thread_unless_another_number_is_asked_for():
    setup(3)
    assert torch.get_num_threads() == 3
    setup()
    assert torch.get_num_threads() == 1


def test_lessons_threads_overrides_the_argument(monkeypatch):
    monkeypatch.setenv("LESSONS_THREADS", "2")
    setup(4)
    assert torch.get_num_threads() == 2


def test_an_empty_lessons_threads_counts_as_not_set(monkeypatch):
    monkeypatch.setenv("LESSONS_THREADS", "")
    setup(2)
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("value", ["two", "0", "-1", "1.5", " "])
def test_a_lessons_threads_that_is_no_number_of_threads_is_refused_by_name(monkeypatch, value):
    monkeypatch.setenv("LESSONS_THREADS", value)
    torch.set_num_threads(2)
    with pytest.raises(
        ValueError, match=f"LESSONS_THREADS must be a whole number of threads, 1 or more, and it is '{value}'"
    ):
        setup()
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("value", [0, -2, 1.5, True, None])
def test_an_argument_that_is_no_number_of_threads_is_refused(value):
    with pytest.raises(ValueError, match=f"^threads must be a whole number .* it is {value}$"):
        setup(value)


def test_setup_prints_nothing(capfd):
    setup()
    assert tuple(capfd.readouterr()) == ("", "")


def test_the_setup_cell_waits_for_torch_but_not_for_matplotlib_or_jupyter():
    program = (
        "import sys; from lessons_lib.training import setup; setup(); "
        "print(*{'torch', 'matplotlib', 'IPython', 'ipywidgets', 'networkx.drawing'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert (run.stdout, run.stderr) == ("torch\n", "")
