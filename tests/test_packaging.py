"""The three descriptions of what the course installs say the same, and `make` does what it says."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from lessons_lib.environment import OLDEST, ROOT, locked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDED = [
    Requirement(line)
    for lines in (PROJECT["dependencies"], *PROJECT["optional-dependencies"].values())
    for line in lines
]

needs_make = pytest.mark.skipif(
    os.name != "posix" or shutil.which("make") is None, reason="make is for POSIX systems"
)


def pin(line: Requirement) -> Version:
    """The one version a line of the lock allows."""
    (specifier,) = line.specifier
    assert specifier.operator == "==", f"{line} is not an exact pin"
    return Version(specifier.version)  # refuses a wildcard


def test_every_line_of_the_lock_is_an_exact_pin_without_a_local_tag():
    lines = locked()
    assert len(lines) > 100
    for line in lines:
        assert pin(line).local is None, f"{line} names one build"


def test_no_package_is_locked_twice_for_the_same_system():
    lines = [line for line in locked() if line.marker is None or line.marker.evaluate()]
    names = [canonicalize_name(line.name) for line in lines]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("needed", NEEDED, ids=str)
def test_the_lock_has_a_version_that_satisfies_pyproject(needed):
    name = canonicalize_name(needed.name)
    pins = [pin(line) for line in locked() if canonicalize_name(line.name) == name]
    assert pins, f"{name} is not in the lock"
    assert all(version in needed.specifier for version in pins)


def test_pyproject_gives_lower_bounds_only():
    for needed in NEEDED:
        assert [specifier.operator for specifier in needed.specifier] == [">="], (
            f"{needed} is not a lower bound"
        )


def test_conda_brings_python_and_pip_and_pip_brings_the_lock():
    file = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    assert file["channels"] == ["conda-forge", "nodefaults"]
    python, pip, by_pip = file["dependencies"]
    assert pip == "pip"
    assert by_pip == {"pip": ["-r requirements.txt", "-e ."]}
    name, conda_version = python.split("=")
    assert name == "python"
    assert conda_version in SpecifierSet(PROJECT["requires-python"])


def test_the_oldest_python_is_the_same_everywhere():
    oldest = ".".join(map(str, OLDEST))
    assert PROJECT["requires-python"] == f">={oldest}"
    assert f"version_info >= {OLDEST}" in (ROOT / "Makefile").read_text(encoding="utf-8")
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["test"]["steps"]
    assert [step["with"]["python-version"] for step in steps if "with" in step] == [oldest]
    assert ".ci/run" in [step.get("run") for step in steps]


def test_the_installed_torch_is_the_locked_one():
    (line,) = (line for line in locked() if line.name == "torch")
    assert version("torch") in line.specifier


@pytest.mark.skipif(os.name != "posix", reason="Windows has no executable bit")
def test_the_ci_script_can_be_run():
    assert (ROOT / ".ci" / "run").stat().st_mode & stat.S_IXUSR


@pytest.fixture
def course(tmp_path):
    """A folder with nothing but the Makefile and what its set-up depends on."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy2(ROOT / name, tmp_path)
    return tmp_path


def make(folder, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    """Run make; what an outer make left in the environment must not reach it."""
    outer = ("MAKE", "MFLAGS", "PYTHON", "TORCH_INDEX")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env={**clean, **variables}, capture_output=True, encoding="utf-8"
    )


def fake_python(path, failing: str = "no such command") -> str:
    """A python that only says what it is asked to do, makes a .venv of its own kind, and fails at `failing`."""
    path.write_text(
        f"""#!/bin/sh
echo "ran $*"
case "$*" in *"{failing}"*) exit 1;; esac
case "$*" in "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python";; esac
""",
        encoding="utf-8",
    )
    path.chmod(0o755)
    return str(path)


def ran(result: subprocess.CompletedProcess) -> list[str]:
    """What the fake pythons were asked to do."""
    return re.findall(r"^ran (?!-c)(.*)$", result.stdout, re.MULTILINE)


@needs_make
def test_make_alone_lists_every_target(course):
    result = make(course)
    listed = re.findall(r"^make ([a-z-]+) +\w", result.stdout, re.MULTILINE)
    phony = re.search(r"^\.PHONY: (.*)$", (course / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert listed == phony[1].split()
    assert result.returncode == 0


@needs_make
@pytest.mark.parametrize("given", ["argument", "environment"])
def test_setup_refuses_an_old_python_in_one_sentence(course, given):
    old = course / "python3.9"
    pretend = "import sys; sys.version_info = (3, 9, 2); exec(sys.argv[2])"
    old.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{pretend}" "$@"\n', encoding="utf-8")
    old.chmod(0o755)
    if given == "argument":
        result = make(course, "setup", f"PYTHON={old}")
    else:
        result = make(course, "setup", PYTHON=str(old))
    assert result.returncode != 0
    assert "The course needs Python 3.11 or newer and this is 3.9." in result.stderr
    assert "Traceback" not in result.stderr
    assert not (course / ".venv").exists()


@needs_make
def test_setup_without_any_python_says_so(course):
    result = make(course, "setup", "PYTHON=no-such-python")
    assert result.returncode != 0
    assert "There is no no-such-python here." in result.stderr


@needs_make
def test_setup_installs_the_lock_once_and_again_when_it_changes(course):
    python = fake_python(course / "python")
    first = make(course, "setup", PYTHON=python)
    assert first.returncode == 0, first.stderr
    venv, lock, library = ran(first)
    assert venv == "-m venv .venv"
    assert lock.endswith("install --disable-pip-version-check -r requirements.txt")
    assert library.endswith("--no-deps --no-build-isolation -e .")
    assert ran(make(course, "setup", PYTHON=python)) == []
    in_the_future = (course / ".venv" / ".installed").stat().st_mtime + 5
    os.utime(course / "requirements.txt", (in_the_future, in_the_future))
    assert ran(make(course, "setup", PYTHON=python)) == [venv, lock, library]


@needs_make
def test_an_installation_broken_off_is_taken_up_again(course):
    broken = fake_python(course / "python", failing="requirements.txt")
    assert make(course, "setup", PYTHON=broken).returncode != 0
    whole = fake_python(course / "python")
    assert len(ran(make(course, "setup", PYTHON=whole))) == 3


@needs_make
@pytest.mark.parametrize("given", ["argument", "environment"])
def test_torch_index_is_passed_to_pip(course, given):
    python, index = fake_python(course / "python"), "https://example.org/cpu"
    if given == "argument":
        result = make(course, "setup", f"PYTHON={python}", f"TORCH_INDEX={index}")
    else:
        result = make(course, "setup", PYTHON=python, TORCH_INDEX=index)
    assert ran(result)[1].endswith(f"--extra-index-url {index} -r requirements.txt")


STAGES = ["ruff check", "ruff format", "not browser", "--nbval", "pytest -m browser"]


@needs_make
@pytest.mark.parametrize("failing", STAGES)
def test_a_failing_stage_stops_the_tests_there(course, failing):
    make(course, "setup", PYTHON=fake_python(course / "python"))
    fake_python(course / ".venv" / "bin" / "python", failing)
    result = make(course, "test")
    assert result.returncode != 0
    assert len(ran(result)) == STAGES.index(failing) + 1
    assert failing in ran(result)[-1]


@needs_make
def test_a_failing_setting_of_the_matrix_fails_it(course):
    make(course, "setup", PYTHON=fake_python(course / "python"))
    python = course / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\n[ "$ATEN_CPU_CAPABILITY" != avx2 ]\n', encoding="utf-8")
    result = make(course, "test-matrix")
    assert result.returncode != 0
    assert result.stdout.splitlines()[-1] == "== ATEN_CPU_CAPABILITY=avx2"


@needs_make
def test_clean_leaves_the_learners_copies(course):
    (course / "my" / "__pycache__").mkdir(parents=True)
    (course / "lessons_lib" / "__pycache__").mkdir(parents=True)
    (course / ".venv").mkdir()
    assert make(course, "clean").returncode == 0
    assert (course / "my" / "__pycache__").exists()
    assert not (course / ".venv").exists()
    assert not (course / "lessons_lib" / "__pycache__").exists()
