"""Five ways to start the network of lesson 4, and what each is worth after training: writes starts.csv (`make experiments`).

Embedding 10, context 3, 200 tanh units, 11,897 parameters; with BatchNorm 12,097. All weights are standard normal numbers times a
scale, and the five starts differ in the scales alone; the last adds BatchNorm. Same recipe for all: AdamW, one cycle, 12 epochs.
With LESSONS_DATA set the lectures' names are measured too. README.md explains the columns.
"""

import sys
import time

import table
import torch
from torch import nn

from lessons_lib.data import examples
from lessons_lib.ladder import LETTERS
from lessons_lib.training import Training, one_cycle, setup, split_loss

CSV = table.HERE / "starts.csv"
COLUMNS = ("data", "start", "seed", "parameters", "loss_at_step_0", "train", "dev", "seconds", *table.MACHINE)
CONTEXT, EMBEDDING, HIDDEN = 3, 10, 200
BATCH, EPOCHS, PEAK = 512, 12, 0.01
KAIMING = (5 / 3) / (CONTEXT * EMBEDDING) ** 0.5
# name -> scales of: hidden weights, hidden biases, last weights, last biases; the scale of the embedding is 1
STARTS = {
    "as in lesson 4": (1, 1, 1, 1),
    "unsure logits": (1, 1, 0.01, 0),
    "awake units": (0.2, 0.01, 0.01, 0),
    "scaled by fan-in": (KAIMING, 0.01, 0.01, 0),
    "with BatchNorm": (KAIMING, None, 0.01, 0),
}


def network(start: str, seed: int) -> nn.Sequential:
    """The network with one of the STARTS. BatchNorm takes the place of the hidden bias."""
    hidden, bias, last, last_bias = STARTS[start]
    first = nn.Linear(CONTEXT * EMBEDDING, HIDDEN, bias=bias is not None)
    norm = [nn.BatchNorm1d(HIDDEN)] if bias is None else []
    out = nn.Linear(HIDDEN, LETTERS.size)
    model = nn.Sequential(nn.Embedding(LETTERS.size, EMBEDDING), nn.Flatten(), first, *norm, nn.Tanh(), out)
    generator = torch.Generator().manual_seed(seed)
    scales = [
        (model[0].weight, 1),
        (first.weight, hidden),
        (first.bias, bias),
        (out.weight, last),
        (out.bias, last_bias),
    ]
    with torch.no_grad():
        for parameter, scale in scales:
            if parameter is not None:
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return model


def trained(start: str, train: list[str], seed: int, watch=None) -> nn.Sequential:
    """The network of a start after the recipe: AdamW in one cycle, on the names `train`. watch: as for Training."""
    pairs = examples(train, CONTEXT, LETTERS)
    model = network(start, seed)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0, fused=True)
    rate = one_cycle(len(pairs[0]) // BATCH * EPOCHS, PEAK)
    Training(model, optimizer, pairs, epochs=EPOCHS, batch=BATCH, rate=rate, seed=seed, watch=watch).run()
    return model


def measure(start: str, names, seed: int) -> dict:
    """One row: train a start on names.train, measure it on both. names: a Split."""
    first = []

    def note_first(training):
        first.extend(training.history.losses[:1] if training.step == 1 else [])

    began = time.perf_counter()
    model = trained(start, names.train, seed, watch=note_first)
    seconds = time.perf_counter() - began
    train, dev = (split_loss(model, *examples(part, CONTEXT, LETTERS)) for part in (names.train, names.dev))
    return {
        "start": start,
        "seed": seed,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "loss_at_step_0": round(first[0], 4),
        "train": round(train, 4),
        "dev": round(dev, 4),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    setup()
    names = table.data_sets()
    wanted = [
        {"data": which, "start": start, "seed": seed}
        for which in names
        for start in STARTS
        for seed in (1, 2, 3)
    ]
    table.fill(
        CSV,
        COLUMNS,
        wanted,
        lambda data, start, seed: measure(start, names[data], seed),
        fresh="--fresh" in sys.argv,
    )


if __name__ == "__main__":
    main()
