"""No test and no kernel sees the learner's own home, and what was skipped for want of data is said."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import platformdirs
import private_home
import pytest

ABSENT = """
import pytest

@pytest.mark.canonical
@pytest.mark.skip(reason="LESSONS_DATA is not set")
@pytest.mark.parametrize("number", range(3))
def test_on_the_lectures_data(number): ...

@pytest.mark.skip(reason="no browser")
def test_of_another_kind(): ...
"""


def test_this_very_run_has_a_temporary_home():
    home = Path.home()
    assert home.name.startswith("lessons-home-")
    for folder in (
        platformdirs.user_data_path("a"),
        platformdirs.user_cache_path("a"),
        platformdirs.user_config_path("a"),
    ):
        assert folder.is_relative_to(home)


def test_the_list_of_fonts_is_kept_in_the_repository():
    assert Path(matplotlib.get_configdir()) == private_home.ROOT / ".cache" / "matplotlib"
    assert ".cache/" in (private_home.ROOT / ".gitignore").read_text(encoding="utf-8").split()


@pytest.fixture
def environ(monkeypatch) -> dict[str, str]:
    """A copy of the environment in place of the real one."""
    copied = dict(os.environ)
    monkeypatch.setattr(os, "environ", copied)
    return copied


def test_the_users_settings_are_forgotten_and_the_matrix_is_not(environ):
    chosen = {"LESSONS_THREADS": "4", "PYTHONHASHSEED": "7", "ATEN_CPU_CAPABILITY": "default"}
    environ |= {"IPYTHONDIR": "/a", "MATPLOTLIBRC": "/a", "PYTHONSTARTUP": "/a", "TQDM_DISABLE": ""} | chosen
    home = private_home.enter()
    assert not {"IPYTHONDIR", "MATPLOTLIBRC", "PYTHONSTARTUP"} & environ.keys()
    assert chosen.items() <= environ.items()
    assert environ["TQDM_DISABLE"] == "1"
    assert {environ["HOME"], environ["USERPROFILE"]} == {str(home)}
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "APPDATA", "LOCALAPPDATA"):
        assert Path(environ[name]).parent == home


@pytest.mark.parametrize("given", ["data", "", None])
def test_the_folder_of_the_lectures_data_is_absolute_or_not_set(given, environ, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environ.pop("LESSONS_DATA", None)
    if given is not None:
        environ["LESSONS_DATA"] = given
    private_home.enter()
    assert environ.get("LESSONS_DATA") == (str(tmp_path.resolve() / "data") if given else given)


def test_the_home_is_gone_when_the_process_ends():
    script = "import private_home; print(private_home.enter())"
    printed = subprocess.check_output(
        [sys.executable, "-c", script], cwd=Path(__file__).parent, encoding="utf-8"
    )
    assert not Path(printed.strip()).exists()


def test_a_run_without_the_lectures_data_ends_with_a_line_that_says_so(tmp_path):
    (tmp_path / "test_absent.py").write_text(ABSENT, encoding="utf-8")
    options = ["-p", "conftest", "-p", "no:cacheprovider", "-o", "markers=canonical", f"--rootdir={tmp_path}"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(private_home.ROOT)},
        capture_output=True,
        encoding="utf-8",
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "4 skipped" in run.stdout
    assert "3 canonical tests skipped: " in run.stdout
