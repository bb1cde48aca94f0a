"""`python -m lessons_lib`: every FAIL is provoked, and the same command reports all well where all is well."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

from lessons_lib import data, environment
from lessons_lib.environment import Problem

REINSTALL = "python -m pip install -r requirements.txt"
REPAIR = "python -m pip install --force-reinstall -r requirements.txt"


def run(*options: str, **variables: str) -> subprocess.CompletedProcess:
    """`python -m lessons_lib` as a user runs it."""
    return subprocess.run(
        [sys.executable, *options, "-m", "lessons_lib"],
        cwd=environment.ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )


def lines_by_name(output: str) -> dict[str, str]:
    """The report's lines, by the name of the check."""
    lines = [line for line in output.splitlines() if line.startswith(("OK    ", "FAIL  "))]
    return {line[6:].partition(":")[0]: line for line in lines}


@pytest.fixture
def outside_venv(monkeypatch):
    """The commands are those for someone who does not use the repository's own .venv."""
    monkeypatch.setattr(sys, "prefix", "/somewhere/else")


def package(folder: Path, name: str, code: str) -> str:
    """Write a package that stands before the installed one on the path; returns what to put into PYTHONPATH."""
    (folder / name).mkdir()
    (folder / name / "__init__.py").write_text(code, encoding="utf-8")
    return str(folder)


def test_all_is_well_on_a_machine_where_the_tests_run():
    result = run()
    lines = lines_by_name(result.stdout)
    assert list(lines) == list(environment.CHECKS)
    assert all(line.startswith("OK    ") for line in lines.values()), result.stdout
    assert (result.returncode, result.stderr) == (0, "")


def test_a_python_without_any_package_is_told_what_to_install():
    result = run("-S")  # no site-packages
    lines = lines_by_name(result.stdout)
    assert list(lines) == list(environment.CHECKS)
    for name in ("torch", "packages", "kernel", "cache folder", "progress folder", "training"):
        assert lines[name].startswith("FAIL"), lines[name]
        assert " is not installed. Mend it: " in lines[name]
        assert lines[name].endswith(("make clean setup", REINSTALL))
    assert lines["Python"].startswith("OK")
    assert (result.returncode, result.stderr) == (1, "")


def test_a_broken_torch_fails_without_a_traceback_and_the_other_checks_go_on(tmp_path):
    path = package(tmp_path, "torch", "raise OSError('libtorch_cpu is damaged')")
    result = run(PYTHONPATH=path)
    lines = lines_by_name(result.stdout)
    assert lines["torch"].startswith("FAIL  torch: OSError: libtorch_cpu is damaged. Mend it: ")
    assert lines["torch"].endswith(("make clean setup", REPAIR))
    assert lines["training"].startswith("FAIL")
    assert lines["packages"].startswith("OK")
    assert (result.returncode, result.stderr) == (1, "")


def test_a_kernel_that_dies_fails(tmp_path):
    result = run(PYTHONPATH=package(tmp_path, "ipykernel", "raise RuntimeError('broken')"))
    assert lines_by_name(result.stdout)["kernel"].startswith("FAIL  kernel: ")
    assert result.returncode == 1


def test_an_old_python_fails(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 10, 4, "final", 0))
    with pytest.raises(Problem, match=r"3\.10\.4 is too old") as caught:
        environment.check_python()
    if os.name == "posix":
        assert caught.value.command == "make clean setup PYTHON=python3.11"


def test_a_torch_that_computes_wrong_numbers_fails(monkeypatch, outside_venv):
    monkeypatch.setattr(torch.Tensor, "__matmul__", lambda a, b: a)
    with pytest.raises(Problem, match="wrong numbers") as caught:
        environment.check_torch()
    assert caught.value.command == REPAIR


def test_packages_that_differ_from_the_lock_are_named(tmp_path, outside_venv):
    lock = tmp_path / "requirements.txt"
    lock.write_text(
        "numpy==0.0.1\nno-such-package==1.0\nabsent==1 ; sys_platform == 'vms'\n", encoding="utf-8"
    )
    with pytest.raises(
        Problem, match=r"numpy is [\d.]+, not ==0\.0\.1; no-such-package is missing$"
    ) as caught:
        environment.check_packages(lock)
    assert caught.value.command == REINSTALL


def test_many_differing_packages_are_counted_not_listed(tmp_path):
    lock = tmp_path / "requirements.txt"
    lock.write_text("\n".join(f"no-such-package-{i}==1.0" for i in range(7)), encoding="utf-8")
    with pytest.raises(Problem, match="no-such-package-2 is missing and 4 more"):
        environment.check_packages(lock)


def test_a_local_tag_of_torch_is_the_same_version(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "version", lambda name: "2.13.0+cpu")
    lock = tmp_path / "requirements.txt"
    lock.write_text("torch==2.13.0  # the CPU build says 2.13.0+cpu\n", encoding="utf-8")
    assert environment.check_packages(lock) == "1 as in requirements.txt"


def test_a_missing_kernel_fails(monkeypatch, outside_venv):
    def nothing(self, name):
        raise NoSuchKernel(name)

    monkeypatch.setattr(KernelSpecManager, "get_kernel_spec", nothing)
    with pytest.raises(Problem, match="no kernel named python3") as caught:
        environment.check_kernel()
    assert caught.value.command == REPAIR


def test_a_kernel_that_cannot_import_the_library_fails(tmp_path, monkeypatch, outside_venv):
    path = package(tmp_path, "lessons_lib", "raise ImportError('not the library')")
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "Another", "language": "python", "env": {"PYTHONPATH": path}}
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    with pytest.raises(Problem, match="in Another: not the library") as caught:
        environment.check_kernel()
    assert caught.value.command == "python -m pip install --no-deps -e ."


def test_a_missing_data_file_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "DATA", tmp_path / "data")
    with pytest.raises(Problem, match=r"names\.txt is missing") as caught:
        environment.check_data()
    assert caught.value.command == "git checkout -- data/names.txt"


def test_a_data_file_with_one_changed_byte_fails(tmp_path, monkeypatch):
    copy = shutil.copytree(data.DATA, tmp_path / "data")
    content = (copy / "plays.txt").read_bytes()
    (copy / "plays.txt").write_bytes(content[:-1] + b"!")
    monkeypatch.setattr(data, "DATA", copy)
    with pytest.raises(Problem, match=r"plays\.txt is not the file the course ships") as caught:
        environment.check_data()
    assert caught.value.command == "git checkout -- data/plays.txt"


@pytest.mark.skipif(os.name != "posix", reason="runs the command in a POSIX shell")
@pytest.mark.parametrize("folder", ["lessons-lib", "lessons-lib/deeper"])
def test_a_file_in_the_folders_place_fails_and_the_command_mends_it(tmp_path, folder):
    home = tmp_path / "a home with spaces"
    home.mkdir()
    (home / "lessons-lib").write_text("in the way", encoding="utf-8")
    with pytest.raises(Problem, match="lessons-lib is a file, not a folder") as caught:
        environment.check_writable(home / folder)
    subprocess.run(caught.value.command, shell=True, check=True)
    assert environment.check_writable(home / folder) == str(home / folder)


@pytest.mark.parametrize("check", [environment.check_cache, environment.check_progress])
def test_a_folder_that_may_not_be_written_fails(monkeypatch, check):
    def refuse(**arguments):
        raise PermissionError(13, "Permission denied", arguments["dir"])

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)  # root, as in a container, is refused nothing
    with pytest.raises(Problem, match=r"lessons-lib.* cannot be written: Permission denied") as caught:
        check()
    assert "chown" in caught.value.command or "icacls" in caught.value.command


def test_a_link_that_leads_nowhere_is_named(tmp_path):
    (tmp_path / "scratch").symlink_to(tmp_path / "unmounted")
    with pytest.raises(Problem, match="scratch is a file, not a folder"):
        environment.check_writable(tmp_path / "scratch")


def test_a_full_disk_is_not_mended_by_an_administrator(tmp_path, monkeypatch):
    def full(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(Problem, match="No space left on device") as problem:
        environment.check_writable(tmp_path / "folder")
    assert problem.value.command.startswith("df -h ")


def test_the_cache_and_progress_checks_look_at_different_folders():
    assert environment.check_cache() != environment.check_progress()


def test_a_training_run_whose_loss_does_not_fall_fails(monkeypatch, outside_venv):
    monkeypatch.setattr(torch.optim.SGD, "step", lambda self: None)
    with pytest.raises(Problem, match="it should fall") as caught:
        environment.check_training(seconds=0.05)
    assert caught.value.command == REPAIR


def test_a_training_run_that_ends_in_nan_fails(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "sin", lambda x: x * float("nan"))
    with pytest.raises(Problem, match="to nan"):
        environment.check_training(seconds=0.05)


def test_one_failed_check_makes_the_status_nonzero(monkeypatch, capsys):
    def fail():
        raise Problem("is wrong\nin two lines", "mend it so")

    monkeypatch.setattr(
        environment, "CHECKS", {"first": lambda: "fine", "second": fail, "third": lambda: "fine"}
    )
    assert environment.main() == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "FAIL  second: is wrong in two lines. Mend it: mend it so"
    assert lines[2] == "OK    third: fine"
    assert lines[3].startswith("1 of 3 checks failed.")


def test_a_machine_too_busy_for_many_steps_is_not_called_broken():
    assert environment.check_training(seconds=0).startswith("100 steps")


@pytest.mark.skipif(os.name != "posix", reason="make is for POSIX systems")
def test_inside_the_repositorys_own_venv_the_command_is_make(monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(environment.ROOT / ".venv"))
    assert environment.install() == "make clean setup"
