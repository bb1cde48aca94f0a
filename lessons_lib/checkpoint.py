"""A training run on disk, so that it outlives the program. Used by lessons_lib.training; lesson 4 breaks a run off and takes it up.

    folder/step-00000500/tensors.safetensors    every tensor, by name
    folder/step-00000500/state.json             everything else, and the SHA-256 of both

A checkpoint is written beside its place and renamed when it is whole, so a crash or a full disk costs the newest one at most: the
newest two are kept. Nothing is pickled: reading a file of numbers must not be able to run a program. The format of the tensors is
safetensors' (github.com/huggingface/safetensors).
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

__all__ = ["Checkpoint", "claim", "load", "pack", "save", "steps", "unpack"]

FORMAT = 1
KEPT = 2
TENSORS, STATE = "tensors.safetensors", "state.json"


class Checkpoint(NamedTuple):
    """What was saved, after so many steps."""

    step: int
    tensors: dict[str, Tensor]
    state: dict


# Files.


def save(folder: str | Path, step: int, tensors: dict[str, Tensor], state: dict) -> None:
    """Write a checkpoint and drop all but the newest two. One of the same step is replaced.

    tensors: of any shape and type, on any device; they may share memory (tied weights are written twice).
    state:   what JSON can hold. Floats come back exactly as they were.
    Raises OSError where the folder cannot be written; the checkpoints before are then still there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"step-{step:08d}"
    for left in folder.glob(".step-*.part"):  # by a process that was killed while it wrote
        shutil.rmtree(left, ignore_errors=True)
    part = folder / f".{place.name}-{os.getpid()}.part"
    part.mkdir()
    try:
        # Clones, because safetensors refuses tensors that share memory.
        content = safetensors.torch.save(
            {
                name: t.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, t in tensors.items()
            }
        )
        note = {"format": FORMAT, "step": step, "sha256": _sha256(content, state), "state": state}
        _write(part / TENSORS, content)
        _write(part / STATE, json.dumps(note, indent=1).encode())
        if place.exists():
            shutil.rmtree(place)
        part.rename(place)
        if os.name == "posix":  # the new name, too, is on disk only once its folder has been written
            directory = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    for old in steps(folder)[:-KEPT]:
        shutil.rmtree(folder / f"step-{old:08d}", ignore_errors=True)


def load(folder: str | Path) -> Checkpoint | None:
    """The newest whole checkpoint, or None where there is none. Of each damaged one that is newer, a printed line says why."""
    for step in reversed(steps(folder)):
        place = Path(folder) / f"step-{step:08d}"
        try:
            note = json.loads((place / STATE).read_bytes())
            if note["format"] != FORMAT:
                raise ValueError(f"it has format {note['format']}, and this program reads format {FORMAT}")
            content = (place / TENSORS).read_bytes()
            if note["sha256"] != _sha256(content, note["state"]) or note["step"] != step:
                raise ValueError("its content is not what was saved, by its SHA-256")
            return Checkpoint(step, safetensors.torch.load(content), note["state"])
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            reason = error if type(error) is ValueError else f"it cannot be read ({type(error).__name__})"
            print(f"The checkpoint {place.name} is passed over: {reason}.")
    return None


def steps(folder: str | Path) -> list[int]:
    """The steps of the checkpoints in a folder, oldest first, whole or not; none where there is no folder."""
    folder = Path(folder)
    if not folder.is_dir():
        return []
    return sorted(int(p.name[5:]) for p in folder.iterdir() if re.fullmatch(r"step-\d{8,}", p.name))


def claim(folder: str | Path, own: int | None, afresh: bool) -> None:
    """Make sure, before a run, that its folder can be written, and that a fresh start overwrites nobody's hours.

    own: the step of the newest checkpoint that this run has written or loaded. If it starts afresh, its checkpoints are removed.
    Raises OSError, in a sentence, where the folder cannot be written; FileExistsError where a fresh start meets others' checkpoints.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"?")
    except OSError as error:
        raise OSError(
            f"no checkpoint can be written in {folder} ({error.strerror}): name another folder"
        ) from error
    if not afresh:
        return
    found = steps(folder)
    if found and own is None:
        raise FileExistsError(
            f"{folder} holds a run's checkpoint at step {found[-1]:,}: resume() goes on from there. To start afresh, name another "
            "folder or delete this one."
        )
    for step in found:
        shutil.rmtree(Path(folder) / f"step-{step:08d}")


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the new name without the content


def _sha256(content: bytes, state: dict) -> dict[str, str]:
    parts = {TENSORS: content, "state": json.dumps(state).encode()}
    return {name: hashlib.sha256(part).hexdigest() for name, part in parts.items()}


# Model and optimizer as tensors and JSON.


def pack(
    model: nn.Module, optimizer: torch.optim.Optimizer, settings: dict
) -> tuple[dict[str, Tensor], dict]:
    """All tensors, named "model.0.weight" and "optimizer.3.exp_avg" (3 counts the optimizer's parameters), and what is none.

    settings: what else must be the same where the run is to go on, in JSON's terms.
    """
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    numbers = {}
    for place, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            target = tensors if isinstance(value, Tensor) else numbers
            target[f"optimizer.{place}.{key}"] = value
    return tensors, {"settings": _describe(model, optimizer) | settings, "numbers": numbers}


def unpack(found: Checkpoint, model: nn.Module, optimizer: torch.optim.Optimizer, settings: dict) -> None:
    """The way back: load what `pack` gave into a model and an optimizer that were made like those.

    Raises ValueError with the first difference where they were not, or the settings differ, and changes nothing then.
    """
    own, start = model.state_dict(), "model."
    saved = {name[len(start) :]: value for name, value in found.tensors.items() if name.startswith(start)}
    for name in [*own, *saved]:
        here, there = (_shape(some[name]) if name in some else "missing" for some in (own, saved))
        if here != there:
            raise ValueError(f"{name} of its model is {there}, here {here}")
    expected = json.loads(json.dumps(_describe(model, optimizer) | settings))  # as the saved one came
    for name, here in expected.items():
        if (there := found.state["settings"].get(name, "unknown")) != here:
            raise ValueError(f"its {name} is {there}, here {here}")
    entries: dict[int, dict] = {}
    for name, value in (found.tensors | found.state["numbers"]).items():
        if name.startswith("optimizer."):
            _, place, key = name.split(".", 2)
            entries.setdefault(int(place), {})[key] = value
    model.load_state_dict(saved)
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _shape(tensor: Tensor) -> str:
    return f"{tuple(tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"


def _describe(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict:
    """What must be alike for a run to go on as it would have: the optimizer's kind, settings and parameters, the rate apart."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    described: dict = {"optimizer": type(optimizer).__name__}
    for number, group in enumerate(optimizer.param_groups):
        for key, value in group.items():
            if key == "params":
                key, value = "parameters", [names.get(id(one), "none of the model's") for one in value]
            if key not in ("lr", "initial_lr"):
                plain = value is None or isinstance(value, int | float | tuple | list)
                described[f"optimizer's {key}" + f" (group {number})" * (number > 0)] = (
                    value if plain else str(value)
                )
    return described
