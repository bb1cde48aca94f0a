"""A run outlives its program: what is loaded is what was saved, bit by bit, or is refused; half-written files are passed over."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lessons_lib import checkpoint
from lessons_lib.training import Training, one_cycle

TENSORS = {
    "matrix": torch.arange(6.0).view(2, 3),
    "turned": torch.arange(6.0).view(2, 3).T,
    "number": torch.tensor(7),
    "bytes": torch.arange(9, dtype=torch.uint8),
    "double": torch.tensor([0.1, -1e300], dtype=torch.float64),
}
STATE = {"a": 1, "text": "Zoë", "exact": 0.1 + 0.2, "list": [[1, 2.5], None, True]}
OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=1.0),
    "SGD with momentum": lambda p: torch.optim.SGD(p, lr=1.0, momentum=0.9),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1.0),
    "AdamW, fused": lambda p: torch.optim.AdamW(p, lr=1.0, fused=True),
}


pytestmark = pytest.mark.usefixtures("one_thread")


def make(width=8, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Dropout(0.3), nn.Linear(width, 4))


def data(n=50):
    X = torch.randn(n, 3, generator=torch.Generator().manual_seed(1))
    return X, (X.sum(1) > 0).long()


def run_of(folder, optimizer="AdamW", model=None, train=None, **options):
    """50 examples, batches of 8: 6 steps an epoch, 18 in all."""
    model = model or make()
    options = {"epochs": 3, "batch": 8, "dev": data(20), "save_every": 5, "seed": 3} | options
    moving = OPTIMIZERS[optimizer](model.parameters())
    return Training(
        model, moving, train or data(), rate=one_cycle(6 * options["epochs"], 0.1), folder=folder, **options
    )


def everything(training):
    """All that a run changes, by name."""
    tensors, rest = checkpoint.pack(training.model, training.optimizer, {})
    return {name: tensor.detach().clone() for name, tensor in tensors.items()} | rest["numbers"]


def same(first, second):
    return first.keys() == second.keys() and all(
        torch.as_tensor(value).equal(torch.as_tensor(second[name])) for name, value in first.items()
    )


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """A shell that puts the tests into the background has them ignore Ctrl-C."""
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, earlier)


def stop_after(step):
    def watch(training):
        if training.step == step:
            signal.raise_signal(signal.SIGINT)

    return watch


# Files.


def test_what_is_loaded_is_what_was_saved(tmp_path):
    checkpoint.save(tmp_path / "new" / "folder", 500, TENSORS, STATE)
    step, tensors, state = checkpoint.load(tmp_path / "new" / "folder")
    assert (step, state) == (500, STATE)
    assert tensors.keys() == TENSORS.keys()
    assert all(t.equal(TENSORS[name]) and t.dtype == TENSORS[name].dtype for name, t in tensors.items())
    place = tmp_path / "new" / "folder" / "step-00000500"
    assert sorted(p.name for p in place.iterdir()) == ["state.json", "tensors.safetensors"]
    assert [p.name for p in place.parent.iterdir()] == [place.name]


def test_tensors_that_share_their_memory_are_saved_all_the_same(tmp_path):
    table = torch.rand(4, 2, requires_grad=True)
    checkpoint.save(tmp_path, 1, {"embedding": table, "head": table, "part": table[1:]}, {})
    loaded = checkpoint.load(tmp_path).tensors
    assert loaded["embedding"].equal(table)
    assert loaded["head"].equal(table)
    assert loaded["part"].equal(table[1:])


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path):
    (tmp_path / "notes").mkdir()
    for step in (1, 2, 30, 100_000_000):
        checkpoint.save(tmp_path, step, {"t": torch.tensor(step)}, {})
    assert checkpoint.steps(tmp_path) == [30, 100_000_000]
    assert checkpoint.load(tmp_path).tensors["t"] == 100_000_000
    assert (tmp_path / "notes").is_dir()


def test_a_step_saved_twice_is_replaced(tmp_path):
    for value in (1, 2):
        checkpoint.save(tmp_path, 7, {"t": torch.tensor(value)}, {"value": value})
    assert checkpoint.load(tmp_path) == (7, {"t": torch.tensor(2)}, {"value": 2})


def test_there_is_nothing_to_load_from_an_empty_folder_or_none(tmp_path):
    assert checkpoint.load(tmp_path) is None
    assert checkpoint.load(tmp_path / "missing") is None


def cut_tensors(place):
    path = place / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-3])


def change_a_bit(place):
    path = place / "tensors.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def change_a_digit(place):
    path = place / "state.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"a": 1', '"a": 2'), encoding="utf-8")


def rename(place):
    place.rename(place.with_name("step-00000900"))


DAMAGES = {
    "its content is not what was saved": [cut_tensors, change_a_bit, change_a_digit, rename],
    "it cannot be read": [
        lambda place: (place / "state.json").write_text("{", encoding="utf-8"),
        lambda place: (place / "state.json").write_text("[]", encoding="utf-8"),
        lambda place: (place / "state.json").write_bytes(b"\xff\xfe"),
        lambda place: (place / "state.json").unlink(),
        lambda place: (place / "tensors.safetensors").unlink(),
    ],
    "it has format 2, and this program reads format 1": [
        lambda place: (place / "state.json").write_text(
            json.dumps(json.loads((place / "state.json").read_bytes()) | {"format": 2}), encoding="utf-8"
        )
    ],
}


@pytest.mark.parametrize(
    ("words", "damage"), [(words, damage) for words, damages in DAMAGES.items() for damage in damages]
)
def test_a_damaged_checkpoint_is_passed_over_with_a_sentence_for_the_one_before(
    tmp_path, capsys, words, damage
):
    for step in (100, 200):
        checkpoint.save(tmp_path, step, TENSORS, STATE)
    damage(tmp_path / "step-00000200")
    assert checkpoint.load(tmp_path).step == 100
    said = capsys.readouterr().out
    assert said.startswith("The checkpoint step-00000")
    assert f" is passed over: {words}" in said
    assert said.endswith(".\n")
    assert said.count("\n") == 1


def test_where_all_are_damaged_there_is_nothing_to_load(tmp_path, capsys):
    for step in (100, 200):
        checkpoint.save(tmp_path, step, TENSORS, STATE)
        cut_tensors(tmp_path / f"step-00000{step}")
    assert checkpoint.load(tmp_path) is None
    assert capsys.readouterr().out.count("is passed over") == 2


def test_a_disk_that_is_full_leaves_the_older_checkpoints_and_nothing_half_written(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 100, TENSORS, STATE)

    def full(file):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(tmp_path, 200, TENSORS, STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000100"]
    assert checkpoint.load(tmp_path).step == 100


def test_a_checkpoint_that_was_never_renamed_is_not_looked_at(tmp_path, capsys):
    checkpoint.save(tmp_path, 100, TENSORS, STATE)
    shutil.copytree(tmp_path / "step-00000100", tmp_path / ".step-00000200-x.part")
    assert checkpoint.load(tmp_path).step == 100
    assert capsys.readouterr().out == ""


def test_what_a_killed_process_left_half_written_is_removed_by_the_next_checkpoint(tmp_path):
    (tmp_path / ".step-00000100-77.part").mkdir(parents=True)
    (tmp_path / ".step-00000100-77.part" / "tensors.safetensors").write_bytes(b"half")
    checkpoint.save(tmp_path, 200, TENSORS, STATE)
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000200"]


@pytest.mark.skipif(os.name != "posix", reason="other systems have other rights")
def test_whoever_may_read_the_folder_may_read_its_checkpoints(tmp_path):
    (tmp_path / "usual").mkdir()
    checkpoint.save(tmp_path, 100, TENSORS, STATE)
    assert (tmp_path / "step-00000100").stat().st_mode == (tmp_path / "usual").stat().st_mode


# A run that goes on.


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("stop", [5, 6, 13, 17])
def test_a_resumed_run_is_the_run_that_was_never_broken_off(tmp_path, capsys, optimizer, stop):
    whole = run_of(None, optimizer, save_every=None)
    expected = whole.run()
    run_of(tmp_path, optimizer, watch=stop_after(stop)).run()
    second = run_of(tmp_path, optimizer, model=make(seed=99))
    assert second.resume() == stop
    assert f"Stopped after step {stop} of 18" in capsys.readouterr().out
    assert second.run() == expected
    assert same(everything(second), everything(whole))


PROGRAM = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from test_checkpoint import *

torch.set_num_threads(1)
training = run_of(sys.argv[2], epochs=20)
training.resume()
if sys.argv[3] != "0":
    training.watch = lambda t: os.kill(os.getpid(), signal.SIGKILL) if t.step == int(sys.argv[3]) else None
history = training.run()
torch.save((history.losses, history.rates, history.dev, everything(training)), sys.argv[4])
"""


@pytest.mark.skipif(os.name != "posix", reason="there is no SIGKILL")
def test_a_program_that_is_killed_twice_comes_out_as_if_it_had_not_been(tmp_path):
    def program(stop):
        arguments = [str(Path(__file__).parent), str(tmp_path / "run"), str(stop), str(tmp_path / "result")]
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, encoding="utf-8"
        )

    first, second, third = program(33), program(72), program(0)
    assert [first.returncode, second.returncode] == [-signal.SIGKILL] * 2
    assert "There is no checkpoint in" in first.stdout
    assert second.stdout == third.stdout == ""
    assert third.returncode == 0, third.stderr
    whole = run_of(None, epochs=20, save_every=None)
    history = whole.run()
    *numbers, tensors = torch.load(tmp_path / "result")
    assert numbers == [history.losses, history.rates, history.dev]
    assert same(tensors, everything(whole))


def test_checkpoints_come_every_so_many_steps_and_at_the_end(tmp_path):
    seen = []
    training = run_of(tmp_path, watch=lambda t: seen.append(checkpoint.steps(tmp_path)))
    training.run()
    assert [seen[step - 1] for step in (5, 6, 10, 11, 16, 18)] == [[], [5], [5], [5, 10], [10, 15], [10, 15]]
    assert checkpoint.steps(tmp_path) == [15, 18]
    only_the_end = run_of(tmp_path / "b", save_every=None)
    only_the_end.run()
    assert checkpoint.steps(tmp_path / "b") == [18]
    assert checkpoint.load(tmp_path / "b").state["dev"] == [list(pair) for pair in only_the_end.history.dev]


def test_a_finished_run_that_is_run_again_replaces_its_own_checkpoints(tmp_path):
    training = run_of(tmp_path, epochs=3)
    first = training.run()
    training.watch = stop_after(7)
    training.run()
    assert checkpoint.steps(tmp_path) == [5, 7]
    resumed = run_of(tmp_path)
    assert resumed.resume() == 7
    assert resumed.run() == first
    assert resumed.run() == first  # afresh, from its own start
    assert checkpoint.steps(tmp_path) == [15, 18]


def test_a_fresh_run_does_not_overwrite_the_checkpoints_of_another(tmp_path):
    run_of(tmp_path).run()
    with pytest.raises(FileExistsError, match=r"checkpoint at step 18: resume\(\) goes on from there"):
        run_of(tmp_path).run()
    assert checkpoint.load(tmp_path).step == 18


def test_without_a_checkpoint_resume_says_so_and_the_run_begins(tmp_path, capsys):
    training = run_of(tmp_path / "none")
    assert training.resume() == 0
    assert "There is no checkpoint in" in capsys.readouterr().out
    assert training.run() == run_of(None, save_every=None).run()
    with pytest.raises(ValueError, match="no folder to resume from"):
        run_of(None, save_every=None).resume()


class Renamed(nn.Module):
    def __init__(self):
        super().__init__()
        self.other = make()

    def forward(self, X):
        return self.other(X)


OTHERS = {
    r"0\.weight of its model is \(8, 3\) float32, here \(9, 3\) float32": lambda f: run_of(f, model=make(9)),
    r"other\.0\.weight of its model is missing": lambda f: run_of(f, model=Renamed()),
    r"0\.weight of its model is .* float32, here .* float64": lambda f: run_of(f, model=make().double()),
    "its optimizer is AdamW, here SGD": lambda f: run_of(f, "SGD"),
    "its optimizer's fused is None, here True": lambda f: run_of(f, "AdamW, fused"),
    "its seed is 3, here 4": lambda f: run_of(f, seed=4),
    "its batch is 8, here 7": lambda f: run_of(f, batch=7, train=data(48)),
    "its epochs is 3, here 4": lambda f: run_of(f, epochs=4),
    "its number of examples is 50, here 49": lambda f: run_of(f, train=data(49)),
    "its checksums of the examples": lambda f: run_of(f, train=(data()[0] + 1, data()[1])),
}


@pytest.mark.parametrize("words", OTHERS)
def test_a_checkpoint_of_another_run_is_refused_by_what_differs_and_nothing_is_loaded(tmp_path, words):
    run_of(tmp_path).run()
    other = OTHERS[words](tmp_path)
    before = everything(other)
    with pytest.raises(ValueError, match=f"the checkpoint in .* does not fit this run: {words}"):
        other.resume()
    assert same(everything(other), before)
    assert other.step == 0


def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_step(tmp_path):
    (tmp_path / "file").write_text("a file, no folder", encoding="utf-8")
    training = run_of(tmp_path / "file" / "run", watch=lambda t: pytest.fail("a step was made"))
    with pytest.raises(OSError, match=r"no checkpoint can be written in .*run \(.+\): name another folder"):
        training.run()


def test_nothing_is_written_without_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_of(None, save_every=None).run()
    assert list(tmp_path.iterdir()) == []
