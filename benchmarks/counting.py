"""Count all bigrams of the bundled names in three ways and print seconds as JSON: `python benchmarks/counting.py`.

The ways give the same table. Two are loops over characters, as a first program would have them: one adds to a dictionary, the other
to a cell of a tensor. The third is `lessons_lib.ngrams.count`, a few operations on whole tensors. They take turns, by the clock.
"""

import itertools
import json
import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from lessons_lib.data import load_names
from lessons_lib.ladder import LETTERS
from lessons_lib.ngrams import count
from lessons_lib.training import setup


def in_a_dictionary(names: list[str]) -> Tensor:
    counts = {}
    for name in names:
        for pair in itertools.pairwise(f".{name}."):
            counts[pair] = counts.get(pair, 0) + 1
    table = torch.zeros(LETTERS.size, LETTERS.size, dtype=torch.int64)
    for pair, times in counts.items():
        table[tuple(LETTERS.encode(pair))] = times
    return table


def in_a_tensor(names: list[str]) -> Tensor:
    number = {character: number for number, character in enumerate(LETTERS.characters)}
    table = torch.zeros(LETTERS.size, LETTERS.size, dtype=torch.int64)
    for name in names:
        for first, second in itertools.pairwise(f".{name}."):
            table[number[first], number[second]] += 1
    return table


def vectorised(names: list[str]) -> Tensor:
    return count(names, 2, LETTERS)


WAYS: list[Callable[[list[str]], Tensor]] = [in_a_dictionary, in_a_tensor, vectorised]


def race(names: list[str], turns: int = 3) -> dict:
    """Median seconds of each way, how many names and bigrams there were, and whether all tables are equal."""
    seconds, tables = {way.__name__: [] for way in WAYS}, []
    for _ in range(turns):
        for way in WAYS:
            start = time.perf_counter()
            tables.append(way(names))
            seconds[way.__name__].append(time.perf_counter() - start)
    return {
        "names": len(names),
        "bigrams": int(tables[0].sum()),
        "agree": all(table.equal(tables[0]) for table in tables),
        "seconds": {way: median(times) for way, times in seconds.items()},
    }


if __name__ == "__main__":
    setup()
    print(json.dumps(race(load_names())))
