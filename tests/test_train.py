"""The command of lesson 8: what it computes is what one would compute by hand, a run goes on exactly, and nothing ends in a traceback."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from lessons_lib import checkpoint, train
from lessons_lib.data import Vocabulary
from lessons_lib.options import DECIDES
from lessons_lib.parallel import Group
from lessons_lib.tokenizers import BPE
from lessons_lib.transformer import GPT, text_loss

TINY = ["--layers", "2", "--heads", "2", "--width", "16", "--block", "8", "--batch", "4", "--steps", "12"]
TINY += ["--evaluate-every", "5", "--length", "20", "--device", "cpu"]


pytestmark = pytest.mark.usefixtures("own_settings")


@pytest.fixture
def command(text, capsys):
    """Run the command on a small text and a tiny model: command(more options) -> (exit status, stdout, stderr)."""

    def run(*options):
        often = ["--save-every", "4"] if "--folder" in options else []
        try:
            status = train.main(["--text", str(text), *TINY, *often, *map(str, options)])
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return run


def rows(folder):
    with (folder / "losses.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def everything(folder):
    """All that a run leaves behind, for comparing to the last digit."""
    step, tensors, state = checkpoint.load(folder)
    return step, {name: tensor.tolist() for name, tensor in tensors.items()}, state, rows(folder)


# What it computes.


def test_the_help_names_every_option_that_decides_a_run():
    program = [sys.executable, "-m", "lessons_lib.train", "--help"]
    told = subprocess.run(program, capture_output=True, text=True, encoding="utf-8", timeout=120)
    assert (told.returncode, told.stderr) == (0, "")
    missing = [name for name in DECIDES if f"--{name.replace('_', '-')} " not in told.stdout]
    assert missing == []
    assert "torchrun --standalone" in told.stdout


def test_the_losses_it_reports_are_those_of_the_model_it_keeps(command, text, tmp_path):
    status, out, err = command("--folder", tmp_path / "run")
    assert (status, err) == (0, "")
    whole = text.read_text(encoding="utf-8")
    model, tokens = train.load(tmp_path / "run")
    loss = text_loss(model, torch.tensor(tokens.encode(whole[1350:])))
    kept = rows(tmp_path / "run")
    assert [row["step"] for row in kept] == [str(step) for step in range(1, 13)]
    assert [row["step"] for row in kept if row["validation"]] == ["5", "10", "12"]
    assert float(kept[-1]["validation"]) == pytest.approx(loss, abs=1e-6)
    assert f"step 12 of 12: validation {loss:.4f} nats per token" in out
    assert f"{loss:.4f} nats per token, {loss:.4f} per character" in out
    assert (
        f"1,500 characters as 1,350 tokens to learn from and 150 to be measured on, {tokens.size} diff" in out
    )
    assert checkpoint.steps(tmp_path / "run") == [8, 12]


def test_a_batch_is_blocks_of_the_text_that_begin_at_its_places_each_beside_its_targets():
    torch.manual_seed(0)
    gpt, numbers = GPT(7, block=5, width=8, heads=2, layers=1), torch.arange(40) % 7
    starts = [0, 13, 34]
    by_hand = []
    for start in starts:
        logits = gpt(numbers[start : start + 5][None])[0]
        by_hand += [F.cross_entropy(logits[t], numbers[start + t + 1]).item() for t in range(5)]
    loss = train.OnText(gpt, numbers, Group())(torch.tensor(starts))
    assert loss.item() == pytest.approx(sum(by_hand) / 15, abs=1e-6)


def test_the_first_loss_is_that_of_an_untrained_model_and_the_last_is_lower(command, tmp_path):
    command("--folder", tmp_path / "run", "--steps", 60, "--rate", 0.01, "--samples", 0)
    losses = [float(row["loss"]) for row in rows(tmp_path / "run")]
    size = train.load(tmp_path / "run")[1].size
    assert losses[0] == pytest.approx(torch.tensor(size).log().item(), abs=0.05)
    assert sum(losses[-10:]) / 10 < losses[0] - 0.5


def test_a_text_of_one_block_and_a_token_is_enough(command, text):
    text.write_text("abcdefghi" + "j", encoding="utf-8")
    assert "its last part has 1 to be measured on" in command()[2]
    text.write_text("abcdefghi" * 2 + "jj", encoding="utf-8")  # 18 and 2
    assert command("--block", 17)[0] == 0
    status, _, err = command("--block", 18)
    assert (status, "has 18 tokens to learn from, and a block of 18 takes 19" in err) == (2, True)


def test_the_same_seed_gives_the_same_run_and_another_seed_another(command, tmp_path):
    for folder, seed in (("a", 3), ("b", 3), ("c", 4)):
        command("--folder", tmp_path / folder, "--seed", seed)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")
    assert rows(tmp_path / "a")[0]["loss"] != rows(tmp_path / "c")[0]["loss"]


def test_without_a_folder_nothing_is_written(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command()[0] == 0
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_pieces_of_words_as_tokens_are_kept_and_measured_per_character_too(command, text, tmp_path):
    status, out, _ = command(
        "--tokens", "bpe", "--vocabulary", 300, "--folder", tmp_path / "run", "--prompt", "Zoë"
    )
    assert status == 0
    assert "\nZoë" in out
    model, tokens = train.load(tmp_path / "run")
    whole = text.read_text(encoding="utf-8")
    assert (tokens.size, tokens.pieces) == (300, BPE.train(whole[:1350], 300).pieces)
    numbers = tokens.encode(whole[1350:])
    loss = text_loss(model, torch.tensor(numbers))
    characters = len(whole[1350:]) - len(tokens.decode(numbers[:1]))
    assert f"{loss:.4f} nats per token, {loss * (len(numbers) - 1) / characters:.4f} per character" in out


def test_fast_switches_on_all_four_parts_and_muon(command, tmp_path):
    command("--fast", "--folder", tmp_path / "run")
    note = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert all(note["model"][part] for part in ("rotary", "qk_norm", "squared", "zero"))
    assert checkpoint.load(tmp_path / "run").state["settings"]["optimizer"] == "Muon"
    assert note["options"]["rate"] == 0.01


def test_in_bfloat16_the_losses_are_near_those_in_float32_and_not_the_same(command, tmp_path):
    command("--folder", tmp_path / "a")
    command("--folder", tmp_path / "b", "--bf16")
    exact, rough = ([float(row["loss"]) for row in rows(tmp_path / name)] for name in "ab")
    assert rough == pytest.approx(exact, abs=0.05)
    assert rough != exact


def test_the_progress_bar_shows_loss_and_rate_on_stderr(text):
    program = [sys.executable, "-m", "lessons_lib.train", "--text", str(text), *TINY]
    environment = os.environ | {"TQDM_DISABLE": "0"}
    told = subprocess.run(
        program, capture_output=True, text=True, encoding="utf-8", timeout=120, env=environment
    )
    assert told.returncode == 0
    assert re.search(r"12/12 \[.*loss \d\.\d{3}, dev \d\.\d{3}, rate", told.stderr)


# Samples.


def samples(out):
    return re.split(r"\n--- sample \d+ ---\n", out)[1:]


def test_a_folder_can_write_again_what_its_run_has_written(command, tmp_path):
    _, first, _ = command("--folder", tmp_path / "run", "--samples", 2, "--prompt", "The")
    status, again, err = command(
        "--folder", tmp_path / "run", "--samples", 2, "--prompt", "The", "--generate-only"
    )
    assert (status, err) == (0, "")
    assert samples(again) == samples(first)
    assert [sample[:3] for sample in samples(again)] == ["The", "The"]
    assert samples(again)[0] != samples(again)[1]
    assert [len(sample) for sample in samples(again)] == [24, 24]  # prompt, 20 tokens, the end of the line


def test_more_than_there_is_to_choose_from_is_all_and_temperature_zero_has_no_choice(command, tmp_path):
    folder = ["--folder", tmp_path / "run"]
    command(*folder)

    def say(*options):
        status, out, err = command(*folder, "--generate-only", "--samples", 2, *options)
        assert (status, err) == (0, "")
        return samples(out)

    assert say("--top-k", 10_000) == say()
    greedy = say("--temperature", 0)
    assert greedy[0] == greedy[1] == say("--top-k", 1)[0]
    assert say("--temperature", 0, "--seed", 8) == greedy


def test_a_text_without_line_breaks_has_its_samples_begin_with_its_first_character(command, text):
    text.write_text("abcab" * 20, encoding="utf-8")
    status, out, _ = command()
    assert (status, samples(out)[0][0]) == (0, "a")


# Going on.


def stopped_at_the_first_look(monkeypatch):
    """Ctrl-C while the validation part is read, once."""

    def interrupted(*arguments):
        monkeypatch.setattr(train, "text_loss", text_loss)
        signal.raise_signal(signal.SIGINT)
        return text_loss(*arguments)

    monkeypatch.setattr(train, "text_loss", interrupted)


@pytest.mark.parametrize("options", [[], ["--fast"], ["--dropout", "0.2"]], ids=["adamw", "fast", "dropout"])
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(command, tmp_path, monkeypatch, options):
    command("--folder", tmp_path / "whole", *options)
    stopped_at_the_first_look(monkeypatch)
    status, out, _ = command("--folder", tmp_path / "broken", *options)
    assert status == 130
    assert "Stopped after step 5 of 12" in out
    assert "in the shell: the same command with --resume" in out
    assert (checkpoint.steps(tmp_path / "broken"), len(rows(tmp_path / "broken"))) == ([4, 5], 5)
    status, out, _ = command("--folder", tmp_path / "broken", *options, "--resume")
    assert (status, "Going on from step 5." in out) == (0, True)
    assert everything(tmp_path / "broken") == everything(tmp_path / "whole")


def test_what_was_stopped_without_a_folder_is_said_to_be_lost(command, monkeypatch):
    stopped_at_the_first_look(monkeypatch)
    status, out, _ = command()
    assert status == 130
    assert "nothing, since no --folder was named" in out


@pytest.mark.skipif(os.name != "posix", reason="there a program cannot be interrupted from outside")
def test_ctrl_c_from_outside_stops_the_program_with_a_checkpoint_and_no_traceback(text, tmp_path):
    folder = tmp_path / "run"
    program = [sys.executable, "-m", "lessons_lib.train", "--text", str(text), *TINY, "--folder", str(folder)]
    run = subprocess.Popen(
        [*program, "--steps", "100000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + 120
        while not checkpoint.steps(folder) and time.monotonic() < end:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, err) == (130, "")
    stopped = int(re.search(r"Stopped after step ([\d,]+) of 100,000", out)[1].replace(",", ""))
    assert checkpoint.load(folder).step == stopped


def test_resuming_where_there_is_nothing_yet_begins(command, tmp_path):
    command("--folder", tmp_path / "a")
    status, out, _ = command("--folder", tmp_path / "b", "--resume")
    assert (status, f"No checkpoint in {tmp_path / 'b'} yet: the run begins." in out) == (0, True)
    assert everything(tmp_path / "a") == everything(tmp_path / "b")


def test_resuming_a_finished_run_only_writes_its_samples(command, tmp_path):
    _, first, _ = command("--folder", tmp_path / "run")
    before = everything(tmp_path / "run")
    made = (tmp_path / "run" / "step-00000012").stat().st_mtime_ns
    status, out, _ = command("--folder", tmp_path / "run", "--resume")
    assert (status, samples(out)) == (0, samples(first))
    assert everything(tmp_path / "run") == before
    assert (tmp_path / "run" / "step-00000012").stat().st_mtime_ns == made


def cut_short(place: Path):
    path = place / "tensors.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(command, tmp_path):
    command("--folder", tmp_path / "run")
    whole = everything(tmp_path / "run")
    cut_short(tmp_path / "run" / "step-00000012")
    status, out, _ = command("--folder", tmp_path / "run", "--resume")
    assert status == 0
    assert "The checkpoint step-00000012 is passed over: its content is not what was saved" in out
    assert "Going on from step 8." in out
    assert everything(tmp_path / "run") == whole


# What cannot be.


def refused(answer):
    """The sentence of a refusal. It has no traceback, and nothing was begun."""
    status, out, err = answer
    assert status == 2
    assert "Traceback" not in err
    assert "step " not in out
    return err.strip().splitlines()[-1]


WISHES = {
    "--heads 3": "a width of 16 cannot be divided among 3 heads",
    "--heads 16 --rotary": "cannot be divided among 16 heads, of even size for rotary positions",
    "--batch 0": "argument --batch: it must be a whole number, 1 or more, and it is '0'",
    "--steps ten": "argument --steps: it must be a whole number, 1 or more, and it is 'ten'",
    "--block 5000": "this text is too short: its first part has 1350 tokens to learn from, and a block of 5000",
    "--prompt Ω": "--prompt: 'Ω' is not among the",
    "--prompt=": "--prompt: it is empty",
    "--temperature -1": "argument --temperature: it must be 0 or more, and finite; it is '-1'",
    "--temperature nan": "argument --temperature: it must be 0 or more, and finite",
    "--top-k 0": "argument --top-k: it must be a whole number, 1 or more",
    "--rate 0": "argument --rate: it must be above 0, and finite; it is '0'",
    "--dropout 1": "argument --dropout: it must be 0 or more, and below 1; it is '1'",
    "--tokens bpe --vocabulary 255": "argument --vocabulary: it must be a whole number, 256 or more",
    "--text missing.txt": "missing.txt is missing. Is it the file that you mean?",
    "--text ~nobody-of-that-name/mine.txt": "mine.txt is missing. Is it the file that you mean?",
    "--steps 10000000000000": "this run is too large for the memory that is there",
    "--seed 18446744073709551616": "a whole number, 0 or more and below 18446744073709551616, and it is",
    "--tokens words": "invalid choice: 'words'",
    "--resume": "--resume needs a --folder",
    "--generate-only": "--generate-only needs a --folder",
    "--save-every 4": "--save-every needs a --folder",
    "--device mps": "torch finds no mps on this machine",
    "--device cuda": "torch finds no cuda on this machine",
}


@pytest.mark.parametrize("wish", WISHES)
def test_a_wish_that_cannot_be_granted_is_refused_in_one_sentence(command, wish, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert WISHES[wish] in refused(command(*wish.split()))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "is empty"), ("Zoë".encode("latin-1") * 9, "save it as UTF-8"), (b"ab", "is too short")],
)
def test_a_file_that_is_no_text_is_refused_by_name(command, text, content, words):
    text.write_bytes(content)
    assert words in refused(command())


def test_half_a_character_in_the_prompt_is_refused_by_both_kinds_of_tokens(command):
    assert "--prompt: '\\udc80' is not among" in refused(command("--prompt", "\udc80"))
    assert "--prompt: '\\udc80' is half of a char" in refused(
        command("--prompt", "\udc80", "--tokens", "bpe")
    )


def test_a_folder_that_cannot_be_written_is_refused_before_the_first_step(command, text):
    sentence = refused(command("--folder", text / "run"))  # below a file
    assert re.match(r"no checkpoint can be written in .*run \(.+\): name another folder", sentence)


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="root and Windows may write it all the same"
)
def test_a_folder_that_is_read_only_is_refused_before_the_first_step(command, tmp_path):
    (tmp_path / "run").mkdir(mode=0o555)
    assert "no checkpoint can be written in" in refused(command("--folder", tmp_path / "run"))


def test_a_new_run_does_not_overwrite_an_old_one(command, tmp_path):
    command("--folder", tmp_path / "run")
    before = everything(tmp_path / "run")
    assert "holds the checkpoints of a run: add --resume to go on" in refused(
        command("--folder", tmp_path / "run")
    )
    assert everything(tmp_path / "run") == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--width", 32], "its --width is 16, and here it is 32"),
        (["--qk-norm"], "its --qk-norm is False, and here it is True"),
        (["--steps", 24], "its --steps is 12, and here it is 24"),
        (["--rate", 0.1], "its --rate is 0.006, and here it is 0.1"),
    ],
)
def test_a_run_is_not_gone_on_with_under_other_settings(command, tmp_path, options, words):
    command("--folder", tmp_path / "run")
    assert words in refused(command("--folder", tmp_path / "run", "--resume", *options))


def test_a_run_is_not_gone_on_with_on_another_text(command, text, tmp_path):
    command("--folder", tmp_path / "run")
    changed = text.read_text(encoding="utf-8")
    text.write_text(changed[1:] + changed[0], encoding="utf-8")
    assert "has learned from another text" in refused(command("--folder", tmp_path / "run", "--resume"))


def test_where_every_checkpoint_is_damaged_that_is_said_and_nothing_is_overwritten(command, tmp_path):
    command("--folder", tmp_path / "run")
    for step in (8, 12):
        cut_short(tmp_path / "run" / f"step-{step:08d}")
    status, out, err = command("--folder", tmp_path / "run", "--resume")
    assert (status, out.count("is passed over")) == (2, 2)
    assert "no checkpoint in" in err
    assert "is whole" in err
    status, _, err = command("--folder", tmp_path / "run", "--generate-only")
    assert (status, "there is no whole checkpoint in" in err) == (2, True)
    assert checkpoint.steps(tmp_path / "run") == [8, 12]


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_a_folder_without_its_description_is_refused(command, tmp_path, content):
    command("--folder", tmp_path / "run")
    (tmp_path / "run" / "run.json").unlink()
    if content is not None:
        (tmp_path / "run" / "run.json").write_text(content, encoding="utf-8")
    for wish in ("--resume", "--generate-only"):
        assert "has no run.json that can be read" in refused(command("--folder", tmp_path / "run", wish))


def test_a_rate_that_is_far_too_high_ends_with_its_cause_and_status_1(command):
    status, _, err = command("--rate", 1e30)
    assert status == 1
    assert err.startswith("The loss is ")
    assert "the rate is too high" in err
    assert "Traceback" not in err


def test_long_blocks_of_a_large_vocabulary_are_measured_a_few_at_a_time():
    def gpt(size, block):
        return GPT(size, block=block, width=4, heads=2, layers=1)

    assert [train.rows_at_once(one) for one in (gpt(62, 64), gpt(8192, 512), gpt(70_000, 512))] == [64, 4, 1]


def test_a_last_step_that_leaves_no_finite_loss_is_told_with_status_1(command):
    status, out, err = command("--steps", 1, "--rate", 1e30)
    assert status == 1
    assert "Done in" not in out
    assert re.match(
        r"After the last step the validation loss is (nan|inf): lower the rate, which is 1e\+30", err
    )


def test_a_table_of_somebody_elses_is_not_overwritten(command, tmp_path):
    (tmp_path / "losses.csv").write_text("mine\n")
    assert "holds a losses.csv that is not this run's" in refused(command("--folder", tmp_path))
    assert (tmp_path / "losses.csv").read_text() == "mine\n"


def test_a_run_that_died_before_its_first_checkpoint_may_begin_again(command, tmp_path):
    command("--folder", tmp_path, "--save-every", 100, "--evaluate-every", 2)
    for step in checkpoint.steps(tmp_path):
        (tmp_path / f"step-{step:08d}").rename(tmp_path / f"gone-{step}")
    assert command("--folder", tmp_path)[0] == 0
    for step in checkpoint.steps(tmp_path):
        (tmp_path / f"step-{step:08d}").rename(tmp_path / f"lost-{step}")
    assert "not this run's" in refused(command("--folder", tmp_path, "--seed", 1))


def test_tokens_of_a_folder_are_those_of_its_run(command, text, tmp_path):
    command("--folder", tmp_path / "run")
    _, tokens = train.load(tmp_path / "run")
    assert tokens.characters == Vocabulary([text.read_text(encoding="utf-8")], end=None).characters
