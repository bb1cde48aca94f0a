"""A search on dev: networks drawn at random from a box of widths, contexts, rates and regularisation; writes search.csv and
chosen.csv (`make experiments`).

Every trial is drawn by its number alone, trained once, with that number as its seed, and written down at once: the search may be broken off
and taken up again, and a longer one begins with the same trials. The best on dev, by kind, is then trained with three new seeds: the dev loss
of a winner flatters it, since it was chosen for it. Of these, the kind with the lowest mean is asked about test, once. README.md
explains the columns.
"""

import random
import sys

import table
from readers import Reader, loss_on, measure, trained

from lessons_lib.training import setup

SEARCH, CHOSEN = table.HERE / "search.csv", table.HERE / "chosen.csv"
COLUMNS = ("data", "trial", *Reader._fields, "parameters", "train", "dev", "seconds", *table.MACHINE)
CHOSEN_COLUMNS = ("data", "trial", "seed", *COLUMNS[2:-3], "test", *table.MACHINE)
TRIALS = {  # the tree is searched as a convolution: the same network, which reads each letter once
    ("bundled", "convolution"): 12,
    ("bundled", "WaveNet"): 3,  # the dearest: a wide one takes minutes
    ("bundled", "RNN"): 12,
    ("bundled", "GRU"): 6,
    ("makemore", "convolution"): 8,
    ("makemore", "RNN"): 8,
    ("makemore", "GRU"): 6,
}
SEEDS = (101, 102, 103)
BOX = {
    "context": (4, 8, 16),
    "embedding": (10, 16, 24, 32),
    "hidden": (64, 96, 128, 192, 256),
    "dropout": (0.0, 0.1, 0.2),
    "decay": (1e-4, 0.01, 0.03, 0.1),
    "peak": (0.003, 0.005, 0.01, 0.02),
    "batch": (512, 1024),
    "epochs": (8, 12),
}


def draw(kind: str, trial: int) -> Reader:
    """The trial of this number: each setting equally likely, all drawn alone."""
    dice = random.Random(f"{kind} {trial}")
    return Reader(kind, **{name: dice.choice(values) for name, values in BOX.items()})


def best(rows: list[dict], data: str, kind: str) -> dict:
    """The trial with the lowest loss on dev."""
    return min(
        (row for row in rows if (row["data"], row["kind"]) == (data, kind)), key=lambda row: float(row["dev"])
    )


def typed(row: dict) -> Reader:
    """A row of a file, all text, as the settings it stands for."""
    return Reader(**{name: of(row[name]) for name, of in Reader.__annotations__.items()})


def main() -> None:
    setup()
    sets, fresh = table.data_sets(), "--fresh" in sys.argv
    wanted = [
        {"data": data, "trial": trial, **draw(kind, trial)._asdict()}
        for (data, kind), count in TRIALS.items()
        if data in sets
        for trial in range(count)
    ]

    def measure_trial(data, trial, **settings):
        return measure(Reader(**settings), sets[data], trial)

    table.fill(SEARCH, COLUMNS, wanted, measure_trial, fresh)
    confirm(sets, fresh)


def confirm(sets: dict, fresh: bool) -> None:
    """Train the winners anew, with three seeds each; ask the kind that is best on dev about test."""
    rows = table.read(SEARCH)
    winners = [best(rows, data, kind) for data, kind in TRIALS if data in sets]
    wanted = [
        {
            "data": row["data"],
            "trial": row["trial"],
            "seed": seed,
            **{name: row[name] for name in Reader._fields},
        }
        for row in winners
        for seed in SEEDS
    ]

    def measure_winner(data, trial, seed, **settings):
        return measure(typed(settings), sets[data], seed) | {"test": ""}

    table.fill(CHOSEN, CHOSEN_COLUMNS, wanted, measure_winner, fresh)
    for data in sets:
        ask_test(data, sets[data])


def ask_test(data: str, names) -> None:
    """Of the kind with the lowest mean on dev, the network of the first seed is measured on test: one number, at the very end."""
    rows = table.read(CHOSEN)
    kind = table.lowest_mean([row for row in rows if row["data"] == data], "kind", "dev")
    (row,) = (row for row in rows if (row["data"], row["kind"], row["seed"]) == (data, kind, str(SEEDS[0])))
    if not row["test"]:
        reader = typed(row)
        row["test"] = round(loss_on(trained(reader, names.train, SEEDS[0]), reader, names.test), 4)
        table.write(CHOSEN, CHOSEN_COLUMNS, rows)


if __name__ == "__main__":
    main()
