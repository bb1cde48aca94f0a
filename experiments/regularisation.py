"""What dropout and weight decay do for two readers of lesson 7, all else being equal; writes regularisation.csv (`make experiments`).

The search moves eight settings at a time, and cannot say which of them it was. Here the tree scaled up, read whole, and the GRU that the
search found are each trained without dropout and with it, with hardly any decay and with some. README.md explains the columns.
"""

import sys

import table
from readers import READERS, Reader, measure

from lessons_lib.training import setup

CSV = table.HERE / "regularisation.csv"
COLUMNS = ("kind", "seed", *Reader._fields[1:], "parameters", "train", "dev", "seconds", *table.MACHINE)
BASES = {
    "convolution": READERS["convolution"],
    "GRU": Reader("GRU", embedding=16, hidden=256, peak=0.003),  # of chosen.csv
}
SETTINGS = [(dropout, decay) for dropout in (0.0, 0.2) for decay in (1e-4, 0.03)]
SEEDS = (1, 2, 3)


def main() -> None:
    setup()
    names = table.data_sets()["bundled"]
    wanted = [
        {"kind": kind, "seed": seed} | base._replace(dropout=dropout, decay=decay)._asdict()
        for kind, base in BASES.items()
        for dropout, decay in SETTINGS
        for seed in SEEDS
    ]

    def measure_row(seed, **settings):
        return measure(Reader(**settings), names, seed)

    table.fill(CSV, COLUMNS, wanted, measure_row, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
