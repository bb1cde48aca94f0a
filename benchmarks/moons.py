"""Train the network of lesson 1 with two engines in turns: `python benchmarks/moons.py SETTING` prints seconds as JSON.

The network, its loss and the two moons are the lesson's own code, read from the notebook and run twice, each time with another
class as `Value`. SETTING says what Python's garbage collector does meanwhile, which decides most of the result.

Time is the processor's: other programs on the machine change it less than they change the clock.
"""

import ast
import gc
import itertools
import json
import math
import random
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import closure_engine

from lessons_lib import autograd

__all__ = ["ENGINES", "SETTINGS", "agree", "gradients", "prepare", "race", "torch_number"]

LESSON = Path(__file__).parent.parent / "notebooks" / "01_micrograd.ipynb"
LESSON_CODE = {"moons", "Neuron", "Network", "hinge_loss"}
ENGINES = {"closures": closure_engine.Value, "ours": autograd.Value}
SETTINGS = {
    "default": "Python as it starts",
    "torch": "the same, torch imported",
    "lessons": "as setup() leaves it",
    "off": "collector off",
}


@cache
def lesson_code() -> str:
    """The definitions of LESSON_CODE as they stand in the notebook. Raises ValueError where one is not there."""
    cells = [
        cell
        for cell in json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    statements = [statement for cell in cells for statement in ast.parse("".join(cell["source"])).body]
    found = {s.name: ast.unparse(s) for s in statements if getattr(s, "name", None) in LESSON_CODE}
    if missing := LESSON_CODE - found.keys():
        raise ValueError(f"{LESSON.name} does not define {', '.join(sorted(missing))}")
    return "\n".join(found.values())


def prepare(number: Callable) -> tuple[list, Callable]:
    """The 337 parameters of lesson 1's untrained network, made of `number`s, and a function that computes the loss."""
    space = {"Value": number, "itertools": itertools, "math": math}
    exec(lesson_code(), space)
    network = space["Network"]([2, 16, 16, 1], random.Random(17))
    points, labels = space["moons"](100, 0.1, random.Random(3))
    return network.parameters(), lambda: space["hinge_loss"](network, points, labels)[0]


def gradients(number: Callable) -> list[float]:
    """The loss before training, and after it the gradient of every parameter."""
    parameters, loss = prepare(number)
    root = loss()
    root.backward()
    return [float(root.data), *(float(p.grad) for p in parameters)]


def torch_number(data: float):
    """A torch scalar in place of a Value: the network's code does not notice."""
    import torch  # here, so that a race without torch in memory can be run

    return torch.tensor(data, dtype=torch.float64, requires_grad=True)


def agree(ours: list[float], theirs: list[float]) -> bool:
    """Whether all numbers are the same to 1e-9, relative; next to 0, to 1e-12."""
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in zip(ours, theirs, strict=True))


def seconds_per_step(number: Callable, steps: int = 5) -> float:
    """Processor seconds of a training step: loss, backward, update.

    Several steps, because what a step leaves behind is cleared away in a later one, and that is a cost too.
    """
    parameters, loss = prepare(number)
    gc.collect()  # of what the other engine has left behind
    start = time.process_time()
    for _ in range(steps):
        root = loss()
        for p in parameters:
            p.grad = 0.0
        root.backward()
        for p in parameters:
            p.data -= 0.1 * p.grad
    return (time.process_time() - start) / steps


def race(setting: str, turns: int = 3) -> dict:
    """Seconds per step of each engine, turn by turn, and whether both agree with torch. Changes this process's collector."""
    if setting == "torch":
        torch_number(0.0)
    if setting == "lessons":
        from lessons_lib.training import setup

        setup()
    if setting == "off":
        gc.disable()
    seconds = {name: [] for name in ENGINES}
    for _ in range(turns):
        for name, number in ENGINES.items():
            seconds[name].append(seconds_per_step(number))
    truth = gradients(torch_number)
    return seconds | {"agree": all(agree(gradients(number), truth) for number in ENGINES.values())}


if __name__ == "__main__":
    print(json.dumps(race(sys.argv[1])))
