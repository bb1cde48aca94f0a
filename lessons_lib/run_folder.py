"""The folder of a run of lessons_lib.train: what it may go on with, and what others read from it.

folder/run.json            the options that decide the run, the hash of its text, its model and its tokens, and which torchrun began it
folder/losses.csv          step, rate, loss of the batch, and of the whole validation part where it was measured
folder/step-00000250/...   the newest two checkpoints (lessons_lib.checkpoint)
"""

import contextlib
import hashlib
import json
import os
from argparse import Namespace
from pathlib import Path

from lessons_lib import checkpoint
from lessons_lib.data import Vocabulary
from lessons_lib.options import DECIDES
from lessons_lib.tokenizers import BPE
from lessons_lib.training import History
from lessons_lib.transformer import GPT

__all__ = ["claim", "describe", "launched_by", "load", "write_losses", "write_run"]

RUN, LOSSES = "run.json", "losses.csv"
PARTS = {"options", "text", "model", "tokens"}


def describe(options: Namespace, text: str, gpt: GPT, tokens: Vocabulary | BPE) -> dict:
    """What run.json says, in JSON's terms."""
    if isinstance(tokens, Vocabulary):
        spelled = {"characters": tokens.characters}
    else:
        spelled = {"pieces": [piece.hex() for piece in tokens.pieces]}
    return {
        "options": {name: getattr(options, name) for name in DECIDES},
        "text": hashlib.sha256(text.encode()).hexdigest(),
        "model": gpt.settings,
        "tokens": spelled,
    }


def load(folder: str | Path) -> tuple[GPT, Vocabulary | BPE]:
    """The model by the newest whole checkpoint of a folder, and its tokens. Raises FileNotFoundError or ValueError where there is none."""
    note, found = _read(folder), checkpoint.load(folder)
    if found is None:
        raise FileNotFoundError(f"there is no whole checkpoint in {folder}")
    model, start = GPT(**note["model"]), "model.gpt."
    weights = {
        name.removeprefix(start): value for name, value in found.tensors.items() if name.startswith(start)
    }
    model.load_state_dict(weights)
    if "characters" in note["tokens"]:
        return model, Vocabulary([note["tokens"]["characters"]], end=None)
    return model, BPE(map(bytes.fromhex, note["tokens"]["pieces"]))


def launched_by(folder: str | Path, launch: str | None) -> bool:
    """Whether the run in this folder was begun, or last gone on with, by this call of torchrun (lessons_lib.parallel.launch)."""
    try:
        return launch is not None and _read(folder).get("launch") == launch
    except ValueError:
        return False


def claim(folder: str | Path, here: dict, resume: bool) -> None:
    """Make sure that a folder can be written, and that what it holds is this run where it goes on, and nothing where it begins.

    here: what `describe` says of this run. Raises OSError or ValueError, in a sentence; nothing is changed in any case.
    """
    try:
        checkpoint.claim(folder, None, afresh=not resume)
    except FileExistsError:
        raise ValueError(
            f"{folder} holds the checkpoints of a run: add --resume to go on, or name another folder"
        ) from None
    if not checkpoint.steps(folder):
        if not resume and (Path(folder) / LOSSES).exists() and not _same_run(folder, here):
            raise ValueError(f"{folder} holds a {LOSSES} that is not this run's: name another folder")
        return
    there = _read(folder)
    for name, value in here["options"].items():
        if (other := there["options"].get(name)) != value:
            option = "--" + name.replace("_", "-")
            raise ValueError(f"{folder} holds another run: its {option} is {other}, and here it is {value}")
    if there["text"] != here["text"]:
        raise ValueError(f"{folder} holds another run: it has learned from another text")


def _same_run(folder: str | Path, here: dict) -> bool:
    with contextlib.suppress(ValueError):
        there = _read(folder)
        return all(there[part] == here[part] for part in ("options", "text"))
    return False


def write_run(folder: str | Path, note: dict) -> None:
    """Write run.json."""
    _write(Path(folder) / RUN, json.dumps(note, indent=1))


def write_losses(folder: str | Path, history: History) -> None:
    """Write losses.csv, all of it: after a resumption no step stands in it twice."""
    dev = dict(history.dev)
    rows = enumerate(zip(history.rates, history.losses, strict=True), start=1)
    lines = [f"{step},{rate!r},{loss!r},{dev.get(step, '')!s}" for step, (rate, loss) in rows]
    with contextlib.suppress(
        PermissionError
    ):  # on Windows, a table that is open elsewhere must not end the run
        _write(Path(folder) / LOSSES, "\n".join(["step,rate,loss,validation", *lines, ""]))


def _read(folder: str | Path) -> dict:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        note = json.loads((Path(folder) / RUN).read_text(encoding="utf-8"))
        if note.keys() >= PARTS:
            return note
    raise ValueError(f"{folder} has no {RUN} that can be read: it is not the folder of a run, or is damaged")


def _write(path: Path, text: str) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
