"""Twenty and fifty layers, started in different ways, and what they have learned after 600 steps: writes depth.csv (`make experiments`).

The networks of lesson 5: embedding 10, context 3, `depth` tanh layers of 100 units, and a last layer. Each start is tried at five
learning rates. README.md explains the columns.
"""

import math
import sys

import table
import torch
from torch import nn

from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.layers import Residual
from lessons_lib.training import Diverged, Training, one_cycle, setup, split_loss

CSV = table.HERE / "depth.csv"
COLUMNS = ("depth", "start", "rate", "seed", "dev", "seconds", *table.MACHINE)
CONTEXT, EMBEDDING, WIDTH = 3, 10, 100
BATCH, STEPS = 256, 600
RATES, SEEDS = (0.003, 0.01, 0.05, 0.2, 0.5), (1, 2, 3)
# name -> the gain of the hidden layers, None for standard normal weights, and what else is done
STARTS = {
    "gain 0.5": (0.5, None),
    "gain 1": (1.0, None),
    "gain 1.1": (1.1, None),
    "gain 5/3": (5 / 3, None),
    "gain 3": (3.0, None),
    "not scaled": (None, None),
    "gain 0.5, BatchNorm": (0.5, "BatchNorm"),
    "gain 5/3, BatchNorm": (5 / 3, "BatchNorm"),
    "not scaled, BatchNorm": (None, "BatchNorm"),
    "gain 0.5, LayerNorm": (0.5, "LayerNorm"),
    "gain 5/3, LayerNorm": (5 / 3, "LayerNorm"),
    "gain 0.5, residual": (0.5, "residual"),
    "gain 5/3, residual": (5 / 3, "residual"),
}
DEEPEST = (
    "gain 1.1",
    "gain 5/3",
    "gain 5/3, BatchNorm",
    "gain 0.5, residual",
)  # these are tried with 50 layers too


def network(depth: int, start: str, seed: int) -> nn.Sequential:
    """One of the STARTS: every hidden matrix is a standard normal one times gain / sqrt(fan-in), biases are 0, the last is small."""
    gain, extra = STARTS[start]
    generator = torch.Generator().manual_seed(seed)
    table_of_letters = nn.Embedding(LETTERS.size, EMBEDDING)
    linears = [linear(CONTEXT * EMBEDDING, WIDTH, gain, generator, bias=extra != "BatchNorm")]
    linears += [linear(WIDTH, WIDTH, gain, generator, bias=extra != "BatchNorm") for _ in range(depth - 1)]
    last = linear(WIDTH, LETTERS.size, 0.1, generator)
    with torch.no_grad():
        table_of_letters.weight.copy_(torch.randn(table_of_letters.weight.shape, generator=generator))
    norm = {"BatchNorm": nn.BatchNorm1d, "LayerNorm": nn.LayerNorm}.get(extra)
    layers = [nn.Sequential(layer, *([norm(WIDTH)] if norm else []), nn.Tanh()) for layer in linears]
    if extra == "residual":
        layers = layers[:1] + [Residual(layer) for layer in layers[1:]]
    return nn.Sequential(table_of_letters, nn.Flatten(), *layers, last)


def linear(
    fan_in: int, fan_out: int, gain: float | None, generator: torch.Generator, bias: bool = True
) -> nn.Linear:
    layer = nn.Linear(fan_in, fan_out, bias=bias)
    with torch.no_grad():
        weight = torch.randn(layer.weight.shape, generator=generator)
        layer.weight.copy_(weight if gain is None else weight * gain / math.sqrt(fan_in))
        if bias:
            layer.bias.zero_()
    return layer


def train(depth: int, start: str, rate: float, seed: int) -> dict:
    """One row: 600 steps of SGD with momentum 0.9 in one cycle up to `rate`. dev is nan where the loss became that."""
    names = split(load_names())
    pairs, dev = (examples(part, CONTEXT, LETTERS) for part in (names.train, names.dev))
    few = STEPS * BATCH  # a part of the first epoch
    pairs = tuple(
        tensor[torch.randperm(len(tensor), generator=torch.Generator().manual_seed(0))][:few]
        for tensor in pairs
    )
    model = network(depth, start, seed)
    optimizer = torch.optim.SGD(model.parameters(), momentum=0.9)
    run = Training(model, optimizer, pairs, epochs=1, batch=BATCH, rate=one_cycle(STEPS, rate), seed=seed)
    try:
        seconds = table.seconds(run.run)
    except Diverged:
        return {"dev": math.nan, "seconds": math.nan}
    return {"dev": round(split_loss(model, *dev), 4), "seconds": round(seconds, 1)}


def main() -> None:
    setup()
    wanted = [
        {"depth": depth, "start": start, "rate": rate, "seed": seed}
        for depth, starts in ((20, STARTS), (50, DEEPEST))
        for start in starts
        for rate in RATES
        for seed in SEEDS
    ]
    table.fill(CSV, COLUMNS, wanted, train, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
