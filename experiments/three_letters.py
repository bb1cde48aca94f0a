"""How near can a network with three letters of memory come to counting? A small search on dev: writes three_letters.csv (`make experiments`).

The opponent is lesson 2's table that leans on shorter memories. Each row is one network and one seed, trained by the recipe of
lesson 4. With LESSONS_DATA set the lectures' names are searched too. README.md explains the columns.
"""

import sys
import time
from typing import NamedTuple

import table
import torch
from torch import nn

from lessons_lib import ngrams
from lessons_lib.data import examples
from lessons_lib.ladder import LETTERS
from lessons_lib.training import Training, one_cycle, setup, split_loss

CSV = table.HERE / "three_letters.csv"
SETTINGS = ("embedding", "hidden", "dropout", "decay", "batch", "epochs", "peak")
COLUMNS = ("data", *SETTINGS, "seed", "parameters", "train", "dev", "counting", "seconds", *table.MACHINE)


class Network(NamedTuple):
    """embedding: numbers a letter. hidden: tanh units. dropout: of them. decay: AdamW's. peak: of the one cycle."""

    embedding: int = 24
    hidden: int = 600
    dropout: float = 0.0
    decay: float = 0.05
    batch: int = 1024
    epochs: int = 14
    peak: float = 0.01


SEARCHED = [
    Network(embedding=10, hidden=200, decay=0.0, batch=512),  # the lecture's size
    Network(),
    Network(hidden=300),
    Network(embedding=48),
    Network(decay=0.3),
    Network(decay=1.0),
    Network(dropout=0.2),
    Network(embedding=48, hidden=800, dropout=0.2, decay=0.1),
    Network(batch=2048, epochs=20),
]
CHOSEN = Network()


def trained(size: Network, train: list[str], seed: int) -> nn.Sequential:
    """A network of this size after the recipe, started as lesson 5 advises: gain 5/3, and a last layer a tenth as large."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Embedding(LETTERS.size, size.embedding),
        nn.Flatten(),
        nn.Linear(3 * size.embedding, size.hidden),
        nn.Tanh(),
        nn.Dropout(size.dropout),
        nn.Linear(size.hidden, LETTERS.size),
    )
    with torch.no_grad():
        for layer in (model[2], model[5]):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="tanh")
            layer.bias.zero_()
        model[5].weight *= 0.1
    pairs = examples(train, 3, LETTERS)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=size.decay, fused=True)
    rate = one_cycle(len(pairs[0]) // size.batch * size.epochs, size.peak)
    Training(model, optimizer, pairs, epochs=size.epochs, batch=size.batch, rate=rate, seed=seed).run()
    return model


def main() -> None:
    setup()
    names = table.data_sets()
    counting = {
        data: ngrams.loss(ngrams.witten_bell(ngrams.count(parts.train, 4, LETTERS)), parts.dev, LETTERS)
        for data, parts in names.items()
    }

    def measure(data, seed, **settings):
        began = time.perf_counter()
        model = trained(Network(**settings), names[data].train, seed)
        seconds = time.perf_counter() - began
        train, dev = (split_loss(model, *examples(part, 3, LETTERS)) for part in names[data][:2])
        return {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "train": round(train, 4),
            "dev": round(dev, 4),
            "counting": round(counting[data], 4),
            "seconds": round(seconds, 1),
        }

    seeds = {size: (1, 2, 3) if size == CHOSEN else (1,) for size in SEARCHED}
    wanted = [
        {"data": data, **size._asdict(), "seed": seed}
        for data in names
        for size in SEARCHED
        for seed in seeds[size]
    ]
    table.fill(CSV, COLUMNS, wanted, measure, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
