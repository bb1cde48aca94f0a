"""A temporary home for everything the tests start: kernels, browsers and programs never see the learner's own files.

What a learner has solved, downloaded or configured would otherwise enter outputs that are compared. The root
conftest.py calls `enter` before anything else is imported, and refresh.py before it starts a kernel, so outputs are
made and compared under the same conditions. Whatever they start inherits these variables.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

__all__ = ["ROOT", "enter", "variables"]

ROOT = Path(__file__).resolve().parent.parent

# Settings of the machine's user that would reach a kernel past a changed home.
FOREIGN = ["PYTHONSTARTUP", "IPYTHONDIR", "MATPLOTLIBRC", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"]
FOREIGN += ["JUPYTER_CONFIG_DIR", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH"]


def variables(home: Path) -> dict[str, str]:
    """The environment variables that make `home` the home on Linux, macOS and Windows, and outputs repeatable.

    LESSONS_THREADS and PYTHONHASHSEED are left alone: outputs must be the same whatever they are.
    """
    data, cache = str(home / "data"), str(home / "cache")
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_DATA_HOME": data,
        "XDG_CACHE_HOME": cache,
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "APPDATA": data,
        "LOCALAPPDATA": data,
        # On Windows platformdirs asks the system, not APPDATA, unless it is told otherwise.
        "WIN_PD_OVERRIDE_APPDATA": data,
        "WIN_PD_OVERRIDE_LOCAL_APPDATA": data,
        # The one thing that stays between runs: matplotlib takes seconds to list the machine's fonts.
        "MPLCONFIGDIR": str(ROOT / ".cache" / "matplotlib"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(home / "hypothesis"),
        "TQDM_DISABLE": "1",  # a progress bar writes seconds to stderr
    }


def enter() -> Path:
    """Point this process, and all it starts, at a new temporary home that is removed when the process ends."""
    home = Path(tempfile.mkdtemp(prefix="lessons-home-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    for name in FOREIGN:
        os.environ.pop(name, None)
    os.environ.update(variables(home))
    Path(os.environ["MPLCONFIGDIR"]).mkdir(parents=True, exist_ok=True)
    if data := os.environ.get("LESSONS_DATA"):
        os.environ["LESSONS_DATA"] = str(Path(data).resolve())  # kernels run in the notebook's folder
    return home
