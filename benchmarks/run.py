"""Measure what the course costs a machine and print a table: `make bench`. It asserts nothing; README.md explains the rows.

Every row is measured in a process of its own, so that none finds its imports done or its memory taken by another.
"""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import moons
import private_home
import refresh
import solutions

import notebooks

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CHAIN = """
import psutil, time
from lessons_lib.autograd import Value

empty = psutil.Process().memory_info().rss
start = time.perf_counter()
node, one = Value(0.0), Value(1.0)
for _ in range(1_000_000):
    node = node + one
built = time.perf_counter()
node.backward()
print(built - start, time.perf_counter() - built, empty)
"""
TIMED = """
import sys, time

start = time.perf_counter()
exec(sys.argv[1], {"__name__": "__main__"})
print(time.perf_counter() - start)
"""


def fresh(*arguments: str) -> str:
    """What a new Python prints, run with these arguments in the folder of the notebooks."""
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT / "notebooks",
        stdout=subprocess.PIPE,
        encoding="utf-8",
        check=True,
    )
    return process.stdout


def row(what: str, figure: str, limit: str = "") -> None:
    print(f"  {what:<36}{figure:>33}   {limit}".rstrip(), flush=True)


def engines() -> None:
    print(
        "A training step on the moons: 100 points, 337 parameters (ms of processor time; how many times faster)"
    )
    limits = {
        "default": "limit: Python's frequent search for circles",
        "torch": "limit: the same, through torch's objects too",
        "lessons": "limit: ours arithmetic, theirs still the circles",
        "off": "limit: making and visiting the nodes",
    }
    answers = []
    for setting, title in moons.SETTINGS.items():
        race = json.loads(fresh(str(HERE / "moons.py"), setting))
        ratios = [a / b for a, b in zip(race["closures"], race["ours"], strict=True)]
        theirs, ours = (1000 * median(race[engine]) for engine in ("closures", "ours"))
        figure = f"{theirs:.0f}, {ours:.0f}, {median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        row(title, figure, limits[setting])
        answers.append(race["agree"])
    row("loss and gradients as torch float64", f"agree to 1e-9: {'yes' if all(answers) else 'no'}")


def chain() -> None:
    forward, backward, empty, peak = map(float, fresh("-c", CHAIN + refresh.PEAK_MEMORY).split())
    print("A chain of 1,000,000 nodes")
    row("forward", f"{forward:.2f} s")
    row("backward", f"{backward:.2f} s", "limit: half of it is finding the order")
    row(
        "peak memory",
        f"{(peak - empty) / 2**20:.0f} MB",
        "limit: two objects and two floats a node, 200 bytes",
    )


def start_of_a_lesson() -> None:
    cells = solutions.read(ROOT / "notebooks" / "01_micrograd.ipynb").cells
    setup_cell = next(cell.source for cell in cells if cell.cell_type == "code")
    whole, torch = (
        median(float(fresh("-c", TIMED, source).split()[-1]) for _ in range(3))
        for source in (setup_cell, "import torch")
    )
    print("The set-up cell of lesson 1, in a new interpreter")
    row("imports and all", f"{whole:.2f} s", f"limit: importing torch, alone {torch:.2f} s")


def waits() -> None:
    measured = json.loads(fresh(str(HERE / "waits.py")))
    checks, slider = measured["checks"], measured["slider"]
    training = {number: checks.pop(number) for number in list(checks) if checks[number] > 1000}
    slowest = max(checks, key=checks.get)
    print("What a learner waits for")
    row(f"a right answer is checked, {len(checks)} exercises", f"{median(checks.values()):.1f} ms", "median")
    row(f"the slowest of them, {slowest}", f"{checks[slowest]:.0f} ms", "limit: what the check tries")
    for number, wait in training.items():
        row(f"{number}, whose answer trains a model", f"{wait / 1000:.1f} s", "limit: the training")
    row(
        "a move of lesson 1's slider",
        f"{slider['move']:.0f} ms",
        "limit: drawing the texts that changed, and the PNG",
    )
    row("savefig of the same picture", f"{slider['savefig']:.0f} ms", "limit: drawing all of it")
    row(
        f"all {slider['moves']} positions of the slider",
        f"{slider['all']:.0f} ms, {slider['kilobytes']:.0f} kB",
    )


def counting() -> None:
    race = json.loads(fresh(str(HERE / "counting.py")))
    seconds = race["seconds"]
    print(f"Counting {race['bigrams']:,} bigrams in {race['names']:,} names; the same table: {race['agree']}")
    row("a loop, one dictionary entry at a time", f"{seconds['in_a_dictionary']:.3f} s")
    row(
        "a loop, one cell of a tensor at a time",
        f"{seconds['in_a_tensor']:.3f} s",
        "limit: indexing a tensor",
    )
    row("whole tensors", f"{seconds['vectorised']:.3f} s", "limit: joining and looking up the letters")


def recipes() -> None:
    if not os.environ.get("LESSONS_DATA"):
        print("Seconds to the lecture's loss: not measured, for want of the lecture's names (LESSONS_DATA)")
        return
    print("Seconds to the lecture's loss, on the lecture's names (its recipe, ours, how many times faster)")
    races = json.loads(fresh(str(HERE / "recipes.py"))) | json.loads(fresh(str(HERE / "deeper_recipes.py")))
    for which, race in races.items():
        figure = f"{race['theirs']:.0f}, {race['ours']:.1f}, {race['ratio']:.0f} ({race['lowest']:.0f} to {race['highest']:.0f})"
        reached = ", ".join(f"{loss:.4f}" for loss in race["losses"])
        row(which, figure, f"dev {race['target']} there, {reached} here")


def gpt() -> None:
    measured = json.loads(fresh(str(HERE / "gpt.py")))
    cache, race = measured["cache"], measured.get("race")
    print("A GPT: 256 tokens from an empty block of 256, and seconds to the loss of nanoGPT's CPU recipe")
    figure = f"{cache['uncached']:.1f} s, {cache['cached']:.1f} s, {cache['ratio']:.1f}"
    row("without the cache, with it, ratio", figure, f"the same tokens: {'yes' if cache['agree'] else 'no'}")
    if race is None:
        print("  the recipe: not measured, for want of the lecture's text (LESSONS_DATA)")
        return
    figure = f"{race['theirs']:.0f}, {race['ours']:.1f}, {race['ratio']:.1f} ({race['lowest']:.1f} to {race['highest']:.1f})"
    reached = ", ".join(f"{loss:.4f}" for loss in race["losses"])
    row(
        "its recipe, ours, ratio",
        figure,
        f"val {race['target']} there, {reached} here; limit: matrix products",
    )


def instruments() -> None:
    measured = json.loads(fresh(str(HERE / "diagnostics.py")))
    step, gain = measured["step"], measured["gain"]
    print("The instruments and the gain slider of lesson 5")
    row("a training step, six tanh layers", f"{step['plain']:.2f} ms")
    row(
        "with UpdateRatios, every tenth step",
        f"{step['watched']:.2f} ms, {step['ratio']:.2f}",
        "limit: a copy of the weights",
    )
    row("one look by examine", f"{measured['examine']:.1f} ms")
    for depth, move in gain.items():
        figure = f"{move['move']:.0f} ms: {move['compute']:.0f} and {move['draw']:.0f}"
        row(f"a move at depth {depth}: compute and draw", figure, f"{move['kB']:.0f} kB")


def moves() -> None:
    measured = json.loads(fresh(str(HERE / "sliders.py")))
    print(
        "From a key to the new picture, in JupyterLab in Chromium (ms: median and 95th percentile of 50 moves)"
    )
    if not measured:
        print("  not measured, for want of a Chromium")
    for slider, controls in measured.items():
        for control, (middle, slow) in controls.items():
            row(f"{slider}: {control}", f"{middle:.0f}, {slow:.0f}")


def every_notebook() -> None:
    print("Each notebook, top to bottom in a new kernel")
    for path in notebooks.notebooks():
        cost = notebooks.measure(path)
        row(cost.notebook, f"{cost.seconds:.1f} s, {cost.megabytes} MB")


def main() -> None:
    private_home.enter()
    os.environ.pop("LESSONS_THREADS", None)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "matplotlib"))
    print(f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, {packages}\n")
    for part in (
        engines,
        chain,
        start_of_a_lesson,
        waits,
        counting,
        instruments,
        recipes,
        gpt,
        moves,
        every_notebook,
    ):
        part()


if __name__ == "__main__":
    main()
