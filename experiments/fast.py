"""As fast as a laptop allows: which parts and which optimizer lower the loss, and what they cost; writes fast.csv (`make experiments`).

On the plays a network that lesson 8 trains live, on the lecture's text a larger one. README.md explains the columns.
"""

import sys

import table
from texts import PARTS, Recipe, in_characters, texts, trained

from lessons_lib.training import setup
from lessons_lib.transformer import text_loss

CSV = table.HERE / "fast.csv"
COLUMNS = ("data", "row", "seed", *Recipe._fields, "parameters", "train", "val", "seconds", *table.MACHINE)

SMALL = Recipe(width=64, steps=700)
LARGE = Recipe(steps=500)
ADAMW = {"optimizer": "adamw", "peak": 0.006}
NANOGPT = Recipe("", "nanoGPT", layers=4, width=128, batch=12, steps=2000, peak=0.001)
LENGTHS = (100, 200, 400)
LIVE = "all, in 64 bits"  # the row that lesson 8 runs


def recipes(base: Recipe) -> dict[str, Recipe]:
    """The rows: parts added one after another, each left out, and the best and the plainest at several lengths."""
    added = {"plain": base._replace(parts="", **ADAMW)}
    for count, part in enumerate(PARTS, start=1):
        added[f"+ {part}"] = base._replace(parts="+".join(PARTS[:count]), **ADAMW)
    added["+ Muon"] = base
    without = {
        f"all but {part}": base._replace(parts="+".join(one for one in PARTS if one != part))
        for part in PARTS
    }
    lengths = {
        f"{name}, {steps} steps": recipe._replace(steps=steps)
        for steps in LENGTHS
        for name, recipe in (("plain", added["plain"]), ("all", base))
    }
    return added | without | lengths


def wanted(data: list[str]) -> list[dict]:
    """Every row with its first seed before any with its second. The lecture's text, which is dear, has few of those."""
    found = []
    for seed in (1, 2, 3):
        for name in data:
            small = name == "bundled"
            named = recipes(SMALL if small else LARGE)
            if seed == 1:
                named["nanoGPT's recipe"] = NANOGPT
                if small:
                    named[LIVE] = SMALL._replace(bits=64)
            elif small:
                named = {row: recipe for row, recipe in named.items() if "steps" not in row}
            else:
                named = {row: named[row] for row in ("plain", "+ Muon")}
            found += [
                {"data": name, "row": row, "seed": seed, **recipe._asdict()} for row, recipe in named.items()
            ]
    return found


def main() -> None:
    setup()
    sets = {name: in_characters(text) for name, text in texts().items()}

    def measure(data, row, seed, **settings):
        text = sets[data]
        model, seconds = trained(Recipe(**settings), text, seed)
        return {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "train": round(text_loss(model, text.train[: len(text.val)]), 4),
            "val": round(text_loss(model, text.val), 6 if settings["bits"] == 64 else 4),
            "seconds": round(seconds, 1),
        }

    table.fill(CSV, COLUMNS, wanted(list(sets)), measure, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
