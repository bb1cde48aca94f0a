"""Seconds to the lecture's loss, as JSON: the recipe of lessons 4 and 5 against the lecture's own, `python benchmarks/recipes.py`.

The lecture trains its network of three letters with batches of 32 and plain gradient descent at a rate of 0.1, then 0.01, for 200,000
steps; written out here in its manner, from tensors and one update a parameter. A sample of its steps is timed and scaled, before
and after each run of ours, which is timed whole. Both read the lectures' names, so LESSONS_DATA has to name their folder.
"""

import json
import os
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

import starts
import torch
import torch.nn.functional as F

from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.training import setup, split_loss

STEPS, SAMPLE, TURNS = 200_000, 3_000, 3
# What the lecture ends at, on its dev names, and the start of ours that is compared with it.
LECTURE = {"MLP": (2.162, "scaled by fan-in"), "BatchNorm": (2.1057, "with BatchNorm")}


def lectures_steps(X, Y, norm: bool, steps: int = SAMPLE) -> float:
    """Seconds for so many steps of the lecture's recipe, from the start of its training."""
    generator = torch.Generator().manual_seed(2147483647)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    C, W1, W2, b2 = (
        normal(27, 10),
        normal(30, 200) * (5 / 3) / 30**0.5,
        normal(200, 27) * 0.01,
        torch.zeros(27),
    )
    bias, gain = torch.zeros(200), torch.ones(200)
    parameters = [C, W1, bias, W2, b2] + [gain] * norm
    running = [torch.zeros(200), torch.ones(200)]
    for parameter in parameters:
        parameter.requires_grad = True
    start = time.perf_counter()
    for _ in range(steps):
        rows = torch.randint(0, len(X), (32,), generator=generator)
        before = C[X[rows]].view(32, -1) @ W1
        if norm:
            mean, std = before.mean(0), before.std(0)
            before = gain * (before - mean) / std
            with torch.no_grad():
                running[0] = 0.999 * running[0] + 0.001 * mean
                running[1] = 0.999 * running[1] + 0.001 * std
        loss = F.cross_entropy((before + bias).tanh() @ W2 + b2, Y[rows])
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        for parameter in parameters:
            parameter.data += -0.1 * parameter.grad
    return time.perf_counter() - start


def against(names, target: float, theirs_once, sample: int, train, steps: int = STEPS) -> dict:
    """A recipe of the lecture and ours in turns: seconds of each, and the loss that ours ends at.

    theirs_once() times `sample` of its `steps`, and is scaled to all of them; train(names, seed) trains ours and returns what measures its loss.
    """
    theirs, ours, losses = [], [], []
    for seed in range(1, TURNS + 1):
        around = [theirs_once()]
        began = time.perf_counter()
        measure = train(names, seed)
        ours.append(time.perf_counter() - began)
        around.append(theirs_once())
        theirs.append(sum(around) / 2 * steps / sample)
        losses.append(measure())
    ratios = [their / our for their, our in zip(theirs, ours, strict=True)]
    return {
        "target": target,
        "losses": losses,
        "theirs": median(theirs),
        "ours": median(ours),
        "ratio": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


def race(names, which: str) -> dict:
    """The recipe of lesson 4 or 5 against the lecture's."""
    target, start = LECTURE[which]
    pairs, dev = (examples(part, starts.CONTEXT, LETTERS) for part in (names.train, names.dev))

    def train(names, seed):
        model = starts.trained(start, names.train, seed)
        return lambda: split_loss(model, *dev)

    return against(names, target, lambda: lectures_steps(*pairs, norm=which == "BatchNorm"), SAMPLE, train)


if __name__ == "__main__":
    setup()
    if not os.environ.get("LESSONS_DATA"):
        sys.exit("The lecture's recipe is timed on the lecture's names: name their folder in LESSONS_DATA.")
    parts = split(load_names("makemore"), distinct=False)
    print(json.dumps({which: race(parts, which) for which in LECTURE}))
