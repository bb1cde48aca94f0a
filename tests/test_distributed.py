"""Several processes make the run of one, survive the death of any of them, and stop together. Each test has a hard time limit."""

import contextlib
import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
import torch.distributed as dist

from lessons_lib import checkpoint, train
from lessons_lib.parallel import Group, restarts
from lessons_lib.training import Training

TINY = ["--layers", "2", "--heads", "2", "--width", "16", "--block", "8", "--batch", "8", "--samples", "0"]
TINY += ["--device", "cpu", "--threads", "1"]
LIMIT = 300  # seconds for any one command, start-up on a busy machine included

together = pytest.mark.skipif(
    os.name != "posix" or not (dist.is_available() and dist.is_gloo_available()),
    reason="several processes are tried where there are signals and torch has gloo",
)


pytestmark = pytest.mark.usefixtures("own_settings")


class Together:
    """The command under torchrun, with two processes. At the end of its `with` block nothing of it is left running."""

    def __init__(self, text, *options):
        run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts", "3"]
        command = ["--nproc-per-node", "2", "-m", "lessons_lib.train", "--text", text, *TINY, *options]
        self.torchrun = subprocess.Popen(
            [*run, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.end = time.monotonic() + LIMIT

    def __enter__(self):
        return self

    def workers(self):
        children = psutil.Process(self.torchrun.pid).children()
        return [child for child in children if "lessons_lib.train" in " ".join(child.cmdline())]

    def wait_for(self, there):
        """Until there() is true. A kill during start-up could hang torchrun itself, so the tests wait for a checkpoint first."""
        while not there():
            assert time.monotonic() < self.end, "it took too long"
            assert self.torchrun.poll() is None, self.torchrun.communicate()[1][-3000:]
            time.sleep(0.02)

    def finish(self):
        out, err = self.torchrun.communicate(timeout=max(1.0, self.end - time.monotonic()))
        return self.torchrun.returncode, out, err

    def __exit__(self, *error):
        if (
            self.torchrun.poll() is None
        ):  # its workers have sessions of their own, so they are listed before it dies
            for process in [*psutil.Process(self.torchrun.pid).children(recursive=True), self.torchrun]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        self.torchrun.communicate(timeout=30)


def alone(text, folder, *options):
    return train.main(["--text", str(text), *TINY, "--folder", str(folder), *map(str, options)])


def curve(folder):
    with (folder / "losses.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [float(row["loss"]) for row in rows], [
        float(row["validation"]) for row in rows if row["validation"]
    ]


def close(first, second, by):
    """That two curves of the same length differ by no more than this, anywhere."""
    pairs = [pair for one, other in zip(first, second, strict=True) for pair in zip(one, other, strict=True)]
    return max(abs(a - b) for a, b in pairs) <= by


@together
def test_two_processes_give_the_curve_of_one_and_one_can_go_on_from_what_two_have_saved(
    text, tmp_path, capsys
):
    options = ["--steps", 60, "--evaluate-every", 20, "--save-every", 30, "--rate", 0.01]
    assert alone(text, tmp_path / "one", *options) == 0
    with Together(text, *options, "--folder", tmp_path / "two") as run:
        status, out, err = run.finish()
    assert status == 0, err[-3000:]
    assert out == re.sub(r"Done in \d+ s", re.search(r"Done in \d+ s", out)[0], capsys.readouterr().out)
    one, two = curve(tmp_path / "one"), curve(tmp_path / "two")
    assert [len(losses) for losses in two] == [60, 3]
    assert close(one, two, by=1e-4)
    assert one[0][-1] < one[0][0] - 0.5  # it has learned something: two that stood still would agree too
    assert (
        checkpoint.load(tmp_path / "two").tensors.keys() == checkpoint.load(tmp_path / "one").tensors.keys()
    )
    shutil.rmtree(tmp_path / "two" / "step-00000060")
    assert alone(text, tmp_path / "two", *options, "--resume") == 0
    assert "Going on from step 30." in capsys.readouterr().out
    assert close(one, curve(tmp_path / "two"), by=1e-4)


@together
def test_a_process_killed_after_a_checkpoint_is_started_again_and_the_run_ends_as_if_it_had_lived(
    text, tmp_path
):
    options = ["--steps", 240, "--evaluate-every", 240, "--save-every", 30]
    assert alone(text, tmp_path / "whole", *options) == 0
    folder = tmp_path / "killed"
    with Together(text, *options, "--folder", folder) as run:
        run.wait_for(lambda: checkpoint.steps(folder))
        first = run.workers()
        assert len(first) == 2
        first[-1].kill()
        status, out, err = run.finish()
    assert status == 0, err[-3000:]
    gone_on = re.findall(r"Going on from step ([\d,]+)\.", out)
    assert len(gone_on) == 1
    assert int(gone_on[0]) in range(30, 240, 30)
    assert close(curve(tmp_path / "whole"), curve(folder), by=1e-4)
    assert [len(losses) for losses in curve(folder)] == [240, 1]


@together
def test_an_interrupt_stops_all_processes_after_the_same_step_with_a_checkpoint(text, tmp_path):
    folder = tmp_path / "run"
    with Together(
        text, "--steps", 100_000, "--evaluate-every", 100_000, "--save-every", 50, "--folder", folder
    ) as run:
        run.wait_for(lambda: checkpoint.steps(folder))
        run.torchrun.send_signal(signal.SIGINT)
        _, out, err = run.finish()
    stopped = re.search(r"Stopped after step ([\d,]+) of 100,000", out)
    assert stopped, out + err[-3000:]
    assert checkpoint.load(folder).step == int(stopped[1].replace(",", ""))
    assert "lessons_lib/train.py" not in err  # torchrun has its own traceback; our processes have none


# What needs no second process.


def test_one_process_is_a_group_in_which_nothing_happens():
    group = Group()
    group.join(torch.device("cpu"))
    loss, rows, model = torch.tensor(2.5), torch.arange(6).view(3, 2), torch.nn.Linear(2, 2)
    assert (group.first, group.size, restarts()) == (True, 1, 0)
    assert group.mean(loss) is loss
    assert group.mine(rows).equal(rows)
    assert group.wrap(model) is model
    assert [group.any(True), group.any(False), group.alike(7)] == [True, False, True]
    group.leave()
    assert not dist.is_initialized()


@pytest.mark.parametrize(("size", "cleaned"), [(1, "said, cleaned up"), (2, "said, ")])
def test_one_of_several_processes_ends_without_pythons_clean_up_but_has_said_everything(size, cleaned):
    code = "import atexit; from lessons_lib.parallel import end; atexit.register(print, 'cleaned up'); print('said', end=', '); end(3)"
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"WORLD_SIZE": str(size)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (ended.returncode, ended.stdout.strip("\n"), ended.stderr) == (3, cleaned, "")


def test_the_rows_of_all_processes_are_the_batch(monkeypatch):
    rows, found = torch.arange(12).view(6, 2), []
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        found.append(Group().mine(rows))
        assert (Group().first, len(found[-1])) == (rank == 0, 2)
    assert torch.cat(found).sort(0).values.equal(rows)


def test_a_batch_that_cannot_be_shared_and_a_device_without_a_way_between_are_refused(
    text, monkeypatch, capsys
):
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert train.main(["--text", str(text), *TINY]) == 2
    assert capsys.readouterr().err == "a batch of 8 cannot be shared by 3 processes\n"
    with pytest.raises(ValueError, match=r"several processes need --device cpu or cuda: .* on mps"):
        Group().join(torch.device("mps"))
    monkeypatch.setenv("RANK", "1")  # the second process refuses too, and leaves the talking to the first
    assert train.main(["--text", str(text), *TINY]) == 2
    assert capsys.readouterr() == ("", "")


def test_processes_started_anew_go_on_with_the_run_that_they_began_and_with_no_other(
    text, tmp_path, capsys, monkeypatch
):
    options = ["--folder", str(tmp_path / "run"), "--save-every", "4"]
    begun = ["--text", str(text), *TINY, *options, "--steps", "8"]
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "tuesday")
    assert train.main(begun) == 0
    shutil.rmtree(tmp_path / "run" / "step-00000008")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    monkeypatch.setenv(
        "TORCHELASTIC_RUN_ID", "wednesday"
    )  # its first start was refused, and torchrun tries again
    capsys.readouterr()
    assert train.main(begun) == 2
    assert "add --resume to go on" in capsys.readouterr().err
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "tuesday")
    assert train.main(begun) == 0
    assert capsys.readouterr().out.startswith("Going on from step 4.")


@pytest.mark.parametrize("rank", [0, 1])
def test_fewer_cards_than_processes_are_refused_by_all_of_them(text, rank, capsys, monkeypatch):
    numbered = {"WORLD_SIZE": 2, "LOCAL_WORLD_SIZE": 2, "RANK": rank, "LOCAL_RANK": rank}
    for name, value in numbered.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert train.main(["--text", str(text), *TINY[:-4], "--device", "cuda"]) == 2
    said = "each process needs a CUDA card of its own, and there are 1\n"
    assert capsys.readouterr().err == ("" if rank else said)


def test_each_process_draws_for_its_own_rows_and_all_stay_at_the_same_place(monkeypatch):
    drawn, after = [], []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1, 0):
        monkeypatch.setenv("RANK", str(rank))
        torch.manual_seed(5)
        for _ in range(2):
            with Group().own_numbers():
                drawn.append(torch.rand(3).tolist())
        after.append(torch.rand(3).tolist())
    assert drawn[:2] == drawn[4:]  # and a run that is repeated, or resumed, draws the same
    assert len({tuple(numbers) for numbers in drawn}) == 4
    assert after[0] == after[1]
    monkeypatch.setenv("WORLD_SIZE", "1")
    torch.manual_seed(5)
    with Group().own_numbers():
        alone = torch.rand(3)
    torch.manual_seed(5)
    assert alone.equal(torch.rand(3))


def test_samples_alone_are_written_by_the_first_process(text, tmp_path, capsys, monkeypatch):
    folder = str(tmp_path / "run")
    train.main(["--text", str(text), *TINY, "--steps", "2", "--folder", folder])
    capsys.readouterr()
    for rank, samples in ((0, 1), (1, 0)):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setenv("RANK", str(rank))
        asked = ["--folder", folder, "--generate-only", "--samples", "1", "--length", "5"]
        assert train.main([*asked, "--device", "cpu"]) == 0
        assert capsys.readouterr().out.count("--- sample") == samples


def training(**options):
    torch.manual_seed(0)
    model, X = torch.nn.Linear(3, 2), torch.randn(40, 3)
    moving = torch.optim.SGD(model.parameters(), lr=1.0)
    return Training(model, moving, (X, (X[:, 0] > 0).long()), epochs=2, batch=4, rate=0.1, **options)


def test_a_training_that_does_not_write_reads_a_folder_and_leaves_it_alone(tmp_path):
    training(folder=tmp_path, save_every=7).run()
    shutil.rmtree(tmp_path / "step-00000020")
    names = sorted(path.name for path in tmp_path.rglob("*"))
    reader = training(folder=tmp_path, save_every=3, writes=False)
    assert reader.resume() == 14
    assert reader.run() == training().run()
    assert sorted(path.name for path in tmp_path.rglob("*")) == names


def test_trainings_that_agree_stop_after_the_same_step_whichever_was_interrupted(tmp_path, capsys):
    asked = []

    def another_is_interrupted(here):
        asked.append(here)
        return len(asked) > 5

    stopped = training(folder=tmp_path, agree=another_is_interrupted)
    stopped.run()
    assert stopped.step == 5  # asked once before the first step and once after each
    assert asked[:6] == [False] * 6
    assert "Stopped after step 5 of 20" in capsys.readouterr().out
    assert checkpoint.steps(tmp_path) == [5]


def test_an_interrupt_that_comes_after_the_processes_agreed_to_stop_is_the_first_of_its_own(tmp_path, capsys):
    asked = []

    def agreed_and_then_interrupted(here):
        asked.append(here)
        if len(asked) == 6:  # torchrun signals one after the other, and this one knew it from its neighbour
            signal.raise_signal(signal.SIGINT)
        return len(asked) > 4

    stopped = training(folder=tmp_path, agree=agreed_and_then_interrupted)
    stopped.run()
    assert len(asked) == 6  # the signal has come, before the run was over
    assert stopped.step == 4
    assert checkpoint.steps(tmp_path) == [4]
    assert "Stopped after step 4 of 20" in capsys.readouterr().out


def test_an_interrupt_is_told_to_the_others_and_waits_for_their_answer(capsys):
    told = []

    def late(here):
        told.append(here)
        return told.count(True) > 1

    stopped = training(
        agree=late, watch=lambda t: signal.raise_signal(signal.SIGINT) if t.step == 3 else None
    )
    stopped.run()
    assert stopped.step == 4
    assert told[:4] == [False, False, False, True]
    assert "Stopped after step 4 of 20" in capsys.readouterr().out
