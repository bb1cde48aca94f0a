"""What a learner waits for, as JSON: the verdicts on right answers, and the picture after a move of lesson 1's slider."""

import io
import json
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import private_home
import solutions

from lessons_lib.autograd import Value
from lessons_lib.exercises import check
from lessons_lib.graph import backward_panel, backward_steps, describe_step

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def milliseconds(action: Callable, times: int = 5) -> float:
    """The median of some calls, by the clock; of fewer where they take longer than a second together, as training does."""
    seconds = []
    while len(seconds) < times and sum(seconds) < 1:
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)


def checks() -> dict[str, float]:
    """Milliseconds from `check` to "right", by exercise, for the solutions that stand in the notebooks."""
    found = {}
    for exercise in (e for path in sorted(NOTEBOOKS.glob("*.ipynb")) for e in solutions.exercises(path)):
        space = {"__name__": "notebook"}
        with redirect_stdout(io.StringIO()):
            exec(solutions.context(exercise.above, exercise.solution), space)
            exec(exercise.solution, space)
            answer = space[exercise.function]
            found[exercise.number] = milliseconds(lambda n=exercise.number, a=answer: check(n, a))
    return found


def slider() -> dict[str, float]:
    """Milliseconds of a move of the lesson's slider and of all its moves, of `savefig` of the same picture, and kilobytes."""
    price, cost = Value(2.0, label="price"), Value(1.0, label="cost")
    root = (price * -0.5).exp() * 60 * (price - cost)  # the profit of the lesson's lemonade stand
    steps = backward_steps(root)
    panel = backward_panel(root)

    def move(step):
        describe_step(root, step)
        return panel.update(step)

    moves = [milliseconds(lambda step=step: move(step)) for step in steps]
    whole = milliseconds(lambda: panel.figure.savefig(io.BytesIO()))
    return {
        "moves": len(moves),
        "move": median(moves),
        "all": sum(moves),
        "savefig": whole,
        "kilobytes": sum(len(move(step)) for step in steps) / 1000,
    }


if __name__ == "__main__":
    private_home.enter()  # a check notes what was right: not in the progress file of whoever runs this
    print(json.dumps({"checks": checks(), "slider": slider()}))
