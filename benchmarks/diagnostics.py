"""What looking costs, as JSON: a training step with and without `UpdateRatios`, one `examine`, and moves of the gain slider.

The model is the lecture's deep one: 3 characters, embeddings of 10, tanh layers of 100 units, batches of 512. Steps with and without a
look take turns in blocks, in one process, so that a busy machine slows both; the ratio is the median over pairs of blocks.
"""

import json
import time
from collections.abc import Callable
from contextlib import nullcontext
from statistics import median

import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.data import Vocabulary, load_names
from lessons_lib.diagnostics import UpdateRatios, examine
from lessons_lib.gain import GAINS, Network, controls, describe, panel
from lessons_lib.ngrams import windows
from lessons_lib.training import setup

BLOCK, PAIRS = 40, 25  # steps in a block: four of them are measured by UpdateRatios(every=10)


def milliseconds(action: Callable, times: int = 15) -> float:
    """The median of some calls, by the clock."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds)


def deep_net(layers: int = 6) -> nn.Sequential:
    """Embedding, `layers` tanh layers of 100 units, logits of 27 characters."""
    torch.manual_seed(0)
    parts, size = [nn.Embedding(27, 10), nn.Flatten()], 30
    for _ in range(layers):
        parts += [nn.Linear(size, 100, bias=False), nn.Tanh()]
        nn.init.kaiming_normal_(parts[-2].weight, nonlinearity="tanh")
        size = 100
    return nn.Sequential(*parts, nn.Linear(size, 27))


def steps(X, Y) -> dict[str, float]:
    """Milliseconds of a step, plain and watched, and how many times as long the watched one takes."""
    model = deep_net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def block() -> None:
        for start in range(0, BLOCK * 512, 512):
            optimizer.zero_grad()
            F.cross_entropy(model(X[start : start + 512]), Y[start : start + 512]).backward()
            optimizer.step()

    times = {"plain": [], "watched": []}
    block()  # the first steps allocate
    for pair in range(PAIRS):
        order = ("plain", "watched") if pair % 2 else ("watched", "plain")
        for way in order:
            with UpdateRatios(model, optimizer, every=10) if way == "watched" else nullcontext():
                times[way].append(milliseconds(block, 1) / BLOCK)
    ratios = [w / p for w, p in zip(times["watched"], times["plain"], strict=True)]
    return {way: median(values) for way, values in times.items()} | {"ratio": median(ratios)}


def moves(X, Y) -> dict[str, dict[str, float]]:
    """Milliseconds of a move of the gain slider by depth: computing, drawing with caption and PNG, and both; kilobytes of the PNG."""
    network, view = Network(X, Y), panel()
    start = {control.name: control.options[control.start] for control in controls()}
    found = {}
    for depth in (5, 50):
        compute, draw, size = [], [], 0
        for gain in (*GAINS, *GAINS):
            values = start | {"gain": gain, "depth": depth}
            begin = time.perf_counter()
            numbers = network.compute(values)
            middle = time.perf_counter()
            size, _ = len(view.update(numbers)), describe(values, numbers)
            compute.append(1000 * (middle - begin))
            draw.append(1000 * (time.perf_counter() - middle))
        both = [c + d for c, d in zip(compute, draw, strict=True)]
        found[str(depth)] = {
            "compute": median(compute),
            "draw": median(draw),
            "move": median(both),
            "kB": size / 1000,
        }
    return found


def measure() -> dict:
    names = load_names()
    tape = windows(names, 4, Vocabulary(names))
    tape = tape[torch.randperm(len(tape), generator=torch.Generator().manual_seed(0))[: BLOCK * 512]]
    X, Y = tape[:, :3], tape[:, 3]
    model = deep_net()
    return {
        "step": steps(X, Y),
        "examine": milliseconds(lambda: examine(model, X[:512], Y[:512], rate=0.1)),
        "gain": moves(X, Y),
    }


if __name__ == "__main__":
    setup()
    print(json.dumps(measure()))
