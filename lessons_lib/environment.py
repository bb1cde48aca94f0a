"""Can this machine run the course? `python -m lessons_lib` answers, one line a check.

Every check is a function that returns a detail worth reading or raises `Problem`, which carries the command that mends it.
Packages are imported inside the checks, because the answer matters most where they are missing.
"""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.txt"
OLDEST = (3, 11)
REPAIR = "--force-reinstall -r requirements.txt"  # for packages that are there but do not work


class Problem(Exception):
    """What is wrong, and the command that mends it."""

    def __init__(self, wrong: str, command: str):
        super().__init__(wrong)
        self.command = command


def install(arguments: str = "-r requirements.txt") -> str:
    """The command that brings packages back: `make` rebuilds its own .venv, everything else is left to pip."""
    if Path(sys.prefix).resolve() == ROOT / ".venv" and os.name == "posix":
        return "make clean setup"
    return f"python -m pip install {arguments}"


def check_python() -> str:
    """Python is new enough."""
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST:
        command = "make clean setup PYTHON=python3.11" if os.name == "posix" else "py -3.11 -m venv .venv"
        raise Problem(f"{found} is too old, the course needs 3.11 or newer", command)
    return found


def check_torch() -> str:
    """Torch imports, multiplies, differentiates, and hands its numbers to numpy."""
    import torch

    a = torch.ones(2, 2, requires_grad=True)
    (a @ a).sum().backward()
    if a.grad is None or a.grad.numpy().sum() != 16:
        raise Problem("computes wrong numbers", install(REPAIR))
    return f"{torch.__version__} computes"


def locked(lock: Path = LOCK) -> list:
    """The lock's lines as `packaging.requirements.Requirement`s."""
    from packaging.requirements import Requirement

    lines = (line.partition("#")[0].strip() for line in lock.read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def check_packages(lock: Path = LOCK) -> str:
    """Every package of the lock is installed, at the lock's version (torch's +cpu counts as the same version)."""
    wanted = [line for line in locked(lock) if line.marker is None or line.marker.evaluate()]
    wrong = []
    for line in wanted:
        try:
            found = version(line.name)
        except PackageNotFoundError:
            wrong.append(f"{line.name} is missing")
            continue
        if not line.specifier.contains(found, prereleases=True):
            wrong.append(f"{line.name} is {found}, not {line.specifier}")
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise Problem("; ".join(wrong[:3]) + more, install())
    return f"{len(wanted)} as in {lock.name}"


def check_kernel() -> str:
    """JupyterLab finds a kernel, it starts, and lessons_lib can be imported there from any folder."""
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
    from jupyter_client.manager import start_new_kernel

    try:
        spec = KernelSpecManager().get_kernel_spec("python3")
    except NoSuchKernel:
        raise Problem("Jupyter knows no kernel named python3", install(REPAIR)) from None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as elsewhere:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        manager, client = start_new_kernel(60, "python3", cwd=elsewhere, **quiet)
        try:
            reply = client.execute("import lessons_lib", reply=True, timeout=60)["content"]
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
    if reply["status"] != "ok":
        raise Problem(f"in {spec.display_name}: {reply['evalue']}", install("--no-deps -e ."))
    return f"{spec.display_name} starts and finds lessons_lib"


def check_file(path: Path, sha256: str) -> str:
    """A data file is there, byte for byte."""
    where = f"{path.parent.name}/{path.name}"
    command = f"git checkout -- {where}"
    if not path.is_file():
        raise Problem("is missing", command)
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise Problem("is not the file the course ships (its SHA-256 differs)", command)
    return f"{len(content):,} bytes, SHA-256 as it should be"


def check_data() -> str:
    """All data files."""
    from lessons_lib.data import DATA, SHA256

    details = []
    for name, sha256 in SHA256.items():
        try:
            details.append(f"{name} {check_file(DATA / name, sha256)}")
        except Problem as problem:
            raise Problem(f"{name} {problem}", problem.command) from None
    return "; ".join(details)


def check_writable(folder: Path) -> str:
    """The folder is there, or can be made, and a file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"written")
    except (FileExistsError, NotADirectoryError):  # a link that leads nowhere is no folder either
        file = next(path for path in (folder, *folder.parents) if path.is_file() or path.is_symlink())
        move = "mv" if os.name == "posix" else "move"
        raise Problem(
            f"{file} is a file, not a folder", f"{move} {quoted(file)} {quoted(f'{file}.old')}"
        ) from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EROFS):
            raise Problem(
                f"{folder} cannot be written: {error.strerror}", f"df -h {quoted(folder.parent)}"
            ) from None
        # Most often the folder was made once by an administrator.
        if os.name == "posix":
            command = f'sudo mkdir -p {quoted(folder)} && sudo chown -R "$USER" {quoted(folder)}'
        else:
            command = f"icacls {quoted(folder)} /grant {os.environ.get('USERNAME')}:F /T"
        raise Problem(f"{folder} cannot be written: {error.strerror}", command) from None
    return str(folder)


def quoted(path: Path | str) -> str:
    """A path as a shell takes it, spaces and all."""
    return shlex.quote(str(path)) if os.name == "posix" else f'"{path}"'


def check_cache() -> str:
    """Downloads can be kept."""
    from platformdirs import user_cache_path

    return check_writable(user_cache_path("lessons-lib"))


def check_progress() -> str:
    """What the learner has solved can be kept."""
    from platformdirs import user_data_path

    folder = check_writable(user_data_path("lessons-lib"))
    file = user_data_path("lessons-lib") / "progress.jsonl"
    if file.exists() and not os.access(file, os.R_OK | os.W_OK):  # made by an administrator, once
        command = f'sudo chown "$USER" {quoted(file)}' if os.name == "posix" else f"attrib -r {quoted(file)}"
        raise Problem(f"{file} cannot be read or written", command)
    return folder


def check_training(seconds: float = 2.0) -> str:
    """A small network, trained for `seconds` on a sine, gets better."""
    import torch
    from torch.nn import functional as F

    generator = torch.Generator().manual_seed(42)
    x = torch.linspace(-3, 3, 256).unsqueeze(1)  # (256, 1)
    hidden = torch.randn(1, 32, generator=generator).requires_grad_()
    output = (torch.randn(32, 1, generator=generator) / 32**0.5).requires_grad_()
    optimizer = torch.optim.SGD([hidden, output], lr=0.02)
    losses = []
    start = time.perf_counter()
    # On a busy machine two seconds can be very few steps: some are taken in any case.
    while len(losses) < 100 or time.perf_counter() < start + seconds:
        loss = F.mse_loss(torch.tanh(x @ hidden) @ output, x.sin())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    seconds = time.perf_counter() - start
    first, last = losses[0], losses[-1]
    if not math.isfinite(last) or last > first / 2:
        raise Problem(f"the loss went from {first:.3g} to {last:.3g}, it should fall", install(REPAIR))
    return f"{len(losses):,} steps in {seconds:.1f} s, the loss fell from {first:.3g} to {last:.3g}"


CHECKS: dict[str, Callable[[], str]] = {
    "Python": check_python,
    "torch": check_torch,
    "packages": check_packages,
    "kernel": check_kernel,
    "data": check_data,
    "cache folder": check_cache,
    "progress folder": check_progress,
    "training": check_training,
}


def report(name: str, check: Callable[[], str]) -> bool:
    """Run one check and print its line. Returns whether all is well."""
    try:
        print(f"OK    {name}: {check()}", flush=True)
        return True
    except Problem as problem:
        wrong, command = str(problem), problem.command
    except ModuleNotFoundError as error:
        wrong, command = f"{error.name} is not installed", install()
    except Exception as error:
        # A broken package can raise anything, and the checks after this one are still worth running.
        wrong, command = f"{type(error).__name__}: {error}", install(REPAIR)
    print(f"FAIL  {name}: {' '.join(wrong.split())}. Mend it: {command}", flush=True)
    return False


def main() -> int:
    """Run every check. Returns the exit status: 0 where all is well, 1 otherwise."""
    passed = [report(name, check) for name, check in CHECKS.items()]
    if all(passed):
        return 0
    print(
        f"{passed.count(False)} of {len(passed)} checks failed. The commands are meant for the folder {ROOT}"
    )
    return 1
