"""Milliseconds from the press of a key to the new picture, in JupyterLab in Chromium, for every control of every slider, as JSON.

The floor is a slider that computes nothing and shows the same picture, of the gain slider's size, under a new caption: what is
left is the way from the browser to the kernel and back, and the decoding. Without Chromium the answer is {}.
"""

import json
import sys
import tempfile
from contextlib import closing
from itertools import groupby
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))

import private_home
from lab_page import Lab, Notebook, chromium, chromium_path, jupyterlab
from playwright.sync_api import Browser
from sliders_moved import Moved, stored

MOVES = 50
EMPTY = """
from types import SimpleNamespace

import torch
from lessons_lib import gain
from lessons_lib.sliders import Range, Slider

panel, network = gain.panel(), gain.Network(torch.zeros(32, 3, dtype=int), torch.zeros(32, dtype=int))
at_first = {control.name: control.options[control.start] for control in gain.controls()}
picture = panel.update(network.compute(at_first))
constant = SimpleNamespace(size=panel.size, update=lambda number: picture)
Slider([Range("nothing", 0, 49)], lambda values: values["nothing"], constant, lambda values, number: f"The same, {number}.")
"""


def summary(milliseconds: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    return median(milliseconds), sorted(milliseconds)[len(milliseconds) * 95 // 100]


def waits(notebook: Notebook, cell: int, source: str) -> dict[str, tuple[float, float]]:
    """Median and 95th percentile, by the name of the control."""
    slider, found = Moved(notebook, cell, source), {}
    for control in slider.controls:
        start = control.place
        found[control.name] = summary(slider.waits(control, MOVES))
        control.press_to(start)
        slider.settled()
    return found


def floor(browser: Browser, lab: Lab) -> tuple[float, float]:
    """Median and 95th percentile for the empty slider."""
    lab.write("empty.ipynb", EMPTY)
    with closing(Notebook(browser, lab, "empty.ipynb")) as notebook:
        notebook.restart_and_run_all()
        return waits(notebook, 0, EMPTY)["nothing"]


def main() -> dict:
    with tempfile.TemporaryDirectory() as folder, chromium() as browser, jupyterlab(Path(folder)) as lab:
        found = {"the floor": {"nothing computed, nothing drawn": floor(browser, lab)}}
        for name, group in groupby(stored(), key=lambda slider: slider[0]):
            with closing(Notebook(browser, lab, name)) as notebook:
                notebook.restart_and_run_all()
                for _, cell, source in group:
                    found[f"{Path(name).stem}, cell {cell + 1}"] = waits(notebook, cell, source)
    return found


if __name__ == "__main__":
    private_home.enter()
    print(json.dumps(main() if chromium_path() else {}))
