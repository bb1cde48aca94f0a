"""What `make bench` times, for the one slider that needs no lesson: the floor under all of them."""

import sys
from contextlib import closing
from pathlib import Path

import pytest
from lab_page import Notebook

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import sliders

pytestmark = pytest.mark.browser


def test_the_way_to_the_kernel_and_back_is_timed(browser, lab):
    with closing(Notebook(browser, lab, sliders.empty_notebook(lab))) as notebook:
        notebook.restart_and_run_all()
        ((name, (middle, slow)),) = sliders.waits(notebook, 0, sliders.EMPTY).items()
    assert name == "nothing"
    assert 1 < middle <= slow
