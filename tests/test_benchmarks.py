"""What `make bench` compares is comparable, and every notebook's cost is measured, written down and within its limit."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import refresh
import solutions

from lessons_lib import course
from lessons_lib.training import setup

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import gpt
import moons

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 60  # what a notebook may take, on two cores
TRAINS_A_GPT = {"08_gpt": 90}


@pytest.fixture(scope="module")
def truth():
    return moons.gradients(moons.torch_number)


@pytest.mark.parametrize("engine", moons.ENGINES)
def test_both_engines_of_the_bench_give_torchs_loss_and_337_gradients(engine, truth):
    found = moons.gradients(moons.ENGINES[engine])
    assert len(found) == 1 + 337
    assert moons.agree(found, truth)


def test_agreement_is_lost_by_one_gradient_that_is_off_by_1e_8(truth):
    off = list(truth)
    off[200] *= 1 + 1e-8
    assert not moons.agree(off, truth)
    assert not moons.agree([*truth[:-1], float("nan")], truth)


def test_the_bench_trains_the_network_whose_loss_the_lesson_prints(truth):
    cells = [cell for cell in solutions.read(moons.LESSON).cells if cell.cell_type == "code"]
    printed = "".join(output.get("text", "") for cell in cells for output in cell.outputs)
    assert f"before training: loss {truth[0]:.3f}," in printed


def test_a_learners_waits_are_measured_for_every_exercise():
    process = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "waits.py"], capture_output=True, encoding="utf-8", check=True
    )
    measured = json.loads(process.stdout)
    notebooks = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert list(measured["checks"]) == [e.number for path in notebooks for e in solutions.exercises(path)]
    assert measured["slider"]["moves"] > 1
    assert min(measured["checks"].values()) > 0
    assert measured["slider"]["all"] > measured["slider"]["move"] > 0


def test_with_the_cache_the_same_256_tokens_come_at_least_three_times_as_fast(monkeypatch):
    monkeypatch.setattr(gpt, "TURNS", 2)
    setup()
    measured = gpt.cache()
    assert measured["agree"]
    assert measured["ratio"] >= 3


# The cost of each notebook.


@pytest.fixture
def experiment():
    """experiments/notebooks.py as a module; it is a script and not part of the package."""
    spec = importlib.util.spec_from_file_location("cost_of_notebooks", ROOT / "experiments" / "notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_notebook_has_its_row_and_stays_within_its_seconds(experiment):
    with course.CSV.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["notebook"] for row in rows] == NOTEBOOKS
    for row in rows:
        assert tuple(row) == experiment.Cost._fields
        assert 0 < float(row["seconds"]) <= TRAINS_A_GPT.get(row["notebook"], SECONDS)
        assert 50 < int(row["megabytes"]) < 4000
        assert row["machine"].endswith("CPU cores")
        assert all(row[name][0].isdigit() for name in ("python", "torch"))


def test_the_lessons_read_the_file_that_the_experiment_writes(experiment):
    assert experiment.CSV.resolve() == course.CSV.resolve()
    assert list(course.measured()) == NOTEBOOKS


def executing(monkeypatch, experiment, path, *answers):
    """Let the experiment write to path, and let the runs it asks for cost these (seconds, MB), or raise."""
    queue = iter(answers)

    def execute(notebook):
        answer = next(queue)
        if isinstance(answer, Exception):
            raise answer
        return refresh.Run(None, answer[0], answer[1] * 2**20)

    monkeypatch.setattr(experiment, "CSV", path)
    monkeypatch.setattr(experiment, "notebooks", lambda: [Path("00_a.ipynb"), Path("01_b.ipynb")])
    monkeypatch.setattr(experiment.refresh, "execute", execute)
    monkeypatch.setattr(experiment.private_home, "enter", lambda: None)
    monkeypatch.setenv("LESSONS_THREADS", "2")


def test_the_faster_of_two_runs_is_written(monkeypatch, tmp_path, experiment):
    path = tmp_path / "notebooks.csv"
    executing(monkeypatch, experiment, path, (2.04, 100), (3, 101), (9, 300.4), (8.06, 300.6))
    experiment.main()
    with path.open(encoding="utf-8", newline="") as file:
        rows = [(row["notebook"], row["seconds"], row["megabytes"]) for row in csv.DictReader(file)]
    assert rows == [("00_a", "2.0", "100"), ("01_b", "8.1", "301")]
    assert "LESSONS_THREADS" not in os.environ


def test_a_notebook_that_fails_leaves_the_file_as_it_was(monkeypatch, tmp_path, experiment):
    path = tmp_path / "notebooks.csv"
    path.write_text("old", encoding="utf-8")
    executing(monkeypatch, experiment, path, (2, 100), (2, 100), RuntimeError("cell 3"))
    with pytest.raises(RuntimeError, match="cell 3"):
        experiment.main()
    assert path.read_text(encoding="utf-8") == "old"
