"""What a longer memory buys, and what size buys: train the networks of lesson 4 with three seeds each, count the tables beside
them, and write context.csv: `make experiments`.

Names are `split(load_names())`: everything learns from train, dev gives the loss, test stays closed.
"""

import sys
import time
from typing import NamedTuple

import table
import torch
from torch import Tensor, nn

from lessons_lib import ngrams
from lessons_lib.data import Split, examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.training import Training, one_cycle, setup, split_loss

CSV = table.HERE / "context.csv"
WHICH = ("model", "letters", "embedding", "hidden", "decay", "seed")  # empty where it does not apply
COLUMNS = (*WHICH, "parameters", "train_loss", "dev_loss", "seconds", *table.MACHINE)
SEEDS = (0, 1, 2)
MEMORIES = (1, 2, 3, 4, 5, 6, 8)
EPOCHS, BATCH, PEAK = 10, 512, 0.005


class Network(NamedTuple):
    """letters of memory, numbers per letter, hidden units, weight decay of AdamW."""

    letters: int
    embedding: int = 24
    hidden: int = 200
    decay: float = 0.01


NETWORKS = [
    Network(3, embedding=10),  # the lecture's: 11,897 parameters
    *(Network(letters) for letters in MEMORIES),
    *(Network(8, embedding=size) for size in (2, 5, 10, 48)),
    *(Network(8, hidden=size) for size in (50, 100, 400)),
    *(Network(8, hidden=400, decay=strength) for strength in (0.0, 0.1, 0.3)),
]


# Networks.


def build(size: Network, seed: int) -> nn.Sequential:
    """An untrained network with PyTorch's own initialization: (N, letters) contexts -> (N, 27) logits."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Embedding(LETTERS.size, size.embedding),
        nn.Flatten(),
        nn.Linear(size.letters * size.embedding, size.hidden),
        nn.Tanh(),
        nn.Linear(size.hidden, LETTERS.size),
    )


def trained(size: Network, train: list[str], seed: int, epochs: int = EPOCHS) -> nn.Sequential:
    """A network after the recipe of lesson 4, on the names `train`: AdamW, one cycle, batches of 512."""
    pairs = examples(train, size.letters, LETTERS)
    model = build(size, seed)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=size.decay, fused=True)
    rate = one_cycle(epochs * (len(pairs[1]) // BATCH), PEAK)
    Training(model, optimizer, pairs, epochs=epochs, batch=BATCH, rate=rate, seed=seed).run()
    return model


def network(names: Split, seed: int, **size) -> dict:
    """Of a row: train one network and measure it."""
    start = time.perf_counter()
    model = trained(Network(**size), names.train, seed)
    seconds = time.perf_counter() - start
    losses = [
        split_loss(model, *examples(part, size["letters"], LETTERS)) for part in (names.train, names.dev)
    ]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return found(*losses, parameters, seconds)


def found(train: float, dev: float | str, parameters: int | str, seconds: float) -> dict:
    """The measured part of a row."""
    dev = dev if dev == "" else round(dev, 6)
    return {
        "parameters": parameters,
        "train_loss": round(train, 6),
        "dev_loss": dev,
        "seconds": round(seconds, 2),
    }


# Tables, without a table: 27 to the 9th is more cells than any machine here holds, and nearly all of them would be empty.


def leaning(train: list[str], parts: list[list[str]], letters: int) -> tuple[list[float], int]:
    """`ngrams.loss` of `ngrams.witten_bell` on each of the parts, without making the table, and the counts above 0 it needs.

    n characters are a number in base 27, and only the numbers that occur are kept, sorted, with how often they do.
    """
    counted = ngrams.windows(train, letters + 1, LETTERS)
    asked = [ngrams.windows(part, letters + 1, LETTERS) for part in parts]
    answers = [torch.full((len(rows),), 1 / LETTERS.size, dtype=torch.float64) for rows in asked]
    stored = 0
    for n in range(1, letters + 2):
        cells, times = as_numbers(counted, n).unique(return_counts=True)
        contexts, context_of = (cells // LETTERS.size).unique(return_inverse=True)
        visits = torch.zeros(len(contexts), dtype=torch.int64).index_add(0, context_of, times)
        kinds = context_of.bincount()
        stored += len(cells)
        for place, rows in enumerate(asked):
            wanted = as_numbers(rows, n)
            seen = look_up(cells, times, wanted)
            visited = look_up(contexts, visits, wanted // LETTERS.size)
            news = look_up(contexts, kinds, wanted // LETTERS.size).clamp(
                min=1
            )  # where never been: any number
            answers[place] = (seen + news * answers[place]) / (visited + news)
    return [-answer.log().mean().item() for answer in answers], stored


def as_numbers(rows: Tensor, n: int) -> Tensor:
    """The last n characters of each row, (N, more than n), as a number in base 27: (N,)."""
    return (rows[:, -n:] * LETTERS.size ** torch.arange(n - 1, -1, -1)).sum(1)


def look_up(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """values[i] where keys[i] == wanted, and 0 where none is; the keys are sorted."""
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, values[places], 0)


def counting(names: Split, letters: int) -> dict:
    """Of a row: lesson 2's best, a table that leans on shorter ones."""
    start = time.perf_counter()
    losses, stored = leaning(names.train, [names.train, names.dev], letters)
    return found(*losses, stored, time.perf_counter() - start)


def floor(names: Split, letters: int) -> dict:
    """Of a row: what train still costs a model that knows it by heart and sees so many letters."""
    start = time.perf_counter()
    return found(ngrams.floor(names.train, letters, LETTERS), "", "", time.perf_counter() - start)


def main() -> None:
    setup()
    names = split(load_names())
    wanted = [
        dict(zip(WHICH, (model, letters, "", "", "", ""), strict=True))
        for model in ("floor", "counting")
        for letters in (0, *MEMORIES)
    ]
    wanted += [{"model": "network", **size._asdict(), "seed": seed} for size in NETWORKS for seed in SEEDS]

    def measure(model, letters, **others):
        if model == "network":
            return network(names, letters=letters, **others)
        return (floor if model == "floor" else counting)(names, letters)

    table.fill(CSV, COLUMNS, wanted, measure, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
