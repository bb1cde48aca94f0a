"""What a longer memory buys, and what size buys: train the networks of lesson 4 with three seeds each, count n-grams beside
them, and write context.csv: `make experiments`.

Names are `split(load_names())`: everything learns from train, dev gives the loss, test stays closed.
"""

import functools
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

import table
import torch
from torch import nn

from lessons_lib import ngrams
from lessons_lib.data import Split, examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.longer_ngrams import LongTable, kneser_ney, witten_bell
from lessons_lib.training import Training, one_cycle, setup, split_loss

CSV = table.HERE / "context.csv"
WHICH = ("model", "letters", "embedding", "hidden", "decay", "peak", "seed")  # empty where it does not apply
COLUMNS = (*WHICH, "parameters", "train_loss", "dev_loss", "seconds", *table.MACHINE)
SEEDS = (0, 1, 2)
MEMORIES = (1, 2, 3, 4, 5, 6, 8)
EPOCHS, BATCH = 10, 512
DISCOUNT = 0.9  # of Kneser and Ney, the best on dev of 0.5, 0.75, 0.9 and 0.95 at five letters
COUNTING = {"Witten-Bell": witten_bell, "Kneser-Ney": functools.partial(kneser_ney, discount=DISCOUNT)}


class Network(NamedTuple):
    """letters of memory, numbers per letter, hidden units, weight decay of AdamW, the highest rate of its cycle."""

    letters: int
    embedding: int = 24
    hidden: int = 200
    decay: float = 0.01
    peak: float = 0.005


NETWORKS = [
    Network(3, embedding=10),  # the lecture's: 11,897 parameters
    *(Network(letters) for letters in MEMORIES),
    *(Network(8, embedding=size) for size in (2, 5, 10, 48)),
    *(Network(8, hidden=size) for size in (50, 100, 400)),
    *(Network(8, hidden=400, decay=strength) for strength in (0.0, 0.1, 0.3)),
    *(Network(8, peak=rate) for rate in (0.0005, 0.002, 0.01, 0.03)),
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
    rate = one_cycle(epochs * (len(pairs[1]) // BATCH), size.peak)
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


# Counting.


def counting(make: Callable[..., LongTable], names: Split, letters: int) -> dict:
    """Of a row: n-grams that lean on shorter ones, in one of the two ways of lessons_lib.longer_ngrams."""
    start = time.perf_counter()
    model = make(names.train, letters, LETTERS)
    losses = model.loss(names.train), model.loss(names.dev)
    return found(*losses, model.stored, time.perf_counter() - start)


def floor(names: Split, letters: int) -> dict:
    """Of a row: what train still costs a model that knows it by heart and sees so many letters."""
    start = time.perf_counter()
    return found(ngrams.floor(names.train, letters, LETTERS), "", "", time.perf_counter() - start)


def main() -> None:
    setup()
    names = split(load_names())
    wanted = [
        {"model": model, "letters": letters} | dict.fromkeys(WHICH[2:], "")
        for model in ("floor", *COUNTING)
        for letters in (0, *MEMORIES)
    ]
    wanted += [{"model": "network", **size._asdict(), "seed": seed} for size in NETWORKS for seed in SEEDS]

    def measure(model, letters, **others):
        if model == "network":
            return network(names, letters=letters, **others)
        if model == "floor":
            return floor(names, letters)
        return counting(COUNTING[model], names, letters)

    table.fill(CSV, COLUMNS, wanted, measure, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
