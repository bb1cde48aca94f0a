"""A GPT reads names: several sizes and recipes, three seeds each, and what it, the earlier readers and counting remember of the names
that they learned from; writes gpt_names.csv and remembered.csv (`make experiments`). README.md explains the columns.
"""

import sys
import time
from typing import NamedTuple

import readers
import search
import table
import torch
from texts import PARTS, optimizer_for
from torch import nn

from lessons_lib.data import load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.longer_ngrams import kneser_ney
from lessons_lib.reading import Padded, from_reader, letter_loss, mean_letter_loss, whole
from lessons_lib.training import Training, one_cycle, setup
from lessons_lib.transformer import GPT

CSV, REMEMBERED = table.HERE / "gpt_names.csv", table.HERE / "remembered.csv"
BLOCK = 16  # the longest name and an end mark have 15


class NamesGPT(NamedTuple):
    """A GPT on names and its recipe. `fast`: the parts of lesson 8's bonus and Muon; otherwise GPT-2's parts and AdamW."""

    fast: bool = True
    layers: int = 4
    heads: int = 4
    width: int = 64
    dropout: float = 0.0
    epochs: int = 8
    batch: int = 64
    peak: float = 0.01
    decay: float = 0.1


ROWS = {"plain": NamesGPT(fast=False, peak=0.005), "fast": NamesGPT()}
COLUMNS = ("data", "row", "seed", *NamesGPT._fields, "parameters", "train", "dev", "seconds", *table.MACHINE)
COUNT, SEEDS = 1000, (1, 2, 3)


def trained(settings: NamesGPT, train: list[str], seed: int) -> nn.Module:
    """A GPT after its recipe, as a reader of names."""
    torch.manual_seed(seed)
    shape = {name: getattr(settings, name) for name in ("layers", "heads", "width", "dropout")}
    gpt = GPT(LETTERS.size, block=BLOCK, **shape, **dict.fromkeys(PARTS, settings.fast))
    optimizer = optimizer_for(gpt, "muon" if settings.fast else "adamw", settings.decay)
    model, pairs = Padded(gpt), whole(train, LETTERS)
    rate = one_cycle(len(train) // settings.batch * settings.epochs, settings.peak)
    sizes = {"epochs": settings.epochs, "batch": settings.batch}
    Training(model, optimizer, pairs, **sizes, rate=rate, seed=seed, loss=letter_loss).run()
    return model


def sampled(model, count: int, seed: int) -> list[str]:
    """Names drawn from a model of lessons_lib.ladder, all of them letter by letter at the same time; one cut at 16 letters has no end."""
    generator = torch.Generator().manual_seed(seed)
    names = [""] * count
    unfinished = list(range(count))
    while unfinished and len(names[unfinished[0]]) < BLOCK:
        running = model([names[place] for place in unfinished]).exp().cumsum(1)  # (N, 27)
        marks = torch.rand(len(unfinished), 1, generator=generator, dtype=torch.float64) * running[:, -1:]
        drawn = torch.searchsorted(running, marks, right=True)[:, 0].tolist()
        for place, number in zip(unfinished, drawn, strict=True):
            names[place] += LETTERS.characters[number]
        unfinished = [place for place in unfinished if not names[place].endswith(LETTERS.end)]
    return [name.removesuffix(LETTERS.end) for name in names]


def remembered(model, names, seed: int) -> dict:
    """Of 1,000 drawn names, the shares that stand in train, in dev or test, and nowhere; and the first 20 of them, marked."""
    drawn = sampled(model, COUNT, seed)
    train, held = set(names.train), set(names.dev) | set(names.test)
    marks = ["train" if name in train else "held" if name in held else "new" for name in drawn]
    shares = {mark: round(marks.count(mark) / COUNT, 4) for mark in ("train", "held", "new")}
    shown = " ".join(f"{name or '.'}:{mark}" for name, mark in zip(drawn[:20], marks[:20], strict=True))
    return shares | {"different": len(set(drawn)), "samples": shown}


def best(rows: list[dict]) -> NamesGPT:
    """The row with the lowest mean loss on the dev names of the bundled list."""
    bundled = [row for row in rows if row["data"] == "bundled"]
    return ROWS[table.lowest_mean(bundled, "row", "dev")]


def main() -> None:
    setup()
    sets, fresh = table.data_sets(), "--fresh" in sys.argv
    wanted = [
        {"data": data, "row": row, "seed": seed, **settings._asdict()}
        for data in sets
        for row, settings in ROWS.items()
        for seed in SEEDS
        if data == "bundled" or (row, seed) == ("fast", SEEDS[0])
    ]

    def measure(data, row, seed, **settings):
        names, began = sets[data], time.process_time()
        model = trained(NamesGPT(**settings), names.train, seed)
        seconds = time.process_time() - began
        return {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "train": round(mean_letter_loss(model, *whole(names.train, LETTERS)), 4),
            "dev": round(mean_letter_loss(model, *whole(names.dev, LETTERS)), 4),
            "seconds": round(seconds, 1),
        }

    table.fill(CSV, COLUMNS, wanted, measure, fresh)
    names = split(load_names())
    gru = search.typed(search.best(table.read(search.SEARCH), "bundled", "GRU"))
    tree = readers.READERS["tree, scaled up"]
    chosen = best(table.read(CSV))
    models = {
        "counting, five letters": lambda: kneser_ney(names.train, 5, LETTERS),
        "the tree scaled up": lambda: readers.as_model(readers.trained(tree, names.train, 42), tree),
        "the GRU of the search": lambda: readers.as_model(readers.trained(gru, names.train, 42), gru),
        "the GPT": lambda: from_reader(trained(chosen, names.train, 42), LETTERS),
    }
    table.fill(
        REMEMBERED,
        ("model", "train", "held", "new", "different", "samples", *table.MACHINE),
        [{"model": name} for name in models],
        lambda model: remembered(models[model](), names, 8),
        fresh,
    )


if __name__ == "__main__":
    main()
