"""Loss against tokens seen, for three sizes of network, and what one of them says on its way; writes curve.csv and stages.csv.

`make experiments`. README.md explains the columns.
"""

import sys

import table
import torch
from texts import Recipe, in_characters, texts, trained

from lessons_lib.data import Vocabulary
from lessons_lib.training import setup
from lessons_lib.transformer import generate, text_loss

CSV, STAGES = table.HERE / "curve.csv", table.HERE / "stages.csv"
COLUMNS = ("width", "layers", "parameters", "step", "tokens", "train", "val", *table.MACHINE)
STAGE_COLUMNS = ("loss", "step", "tokens", "val", "sample", *table.MACHINE)
SIZES = {32: 3, 64: 3, 128: 4}  # width -> layers
LOOKS = (1, 2, 4, 8, 16, 32, 64, 100, 150, 200, 300, 400, 600, 800, 1000, 1500, 2000, 2500, 3000)
LEVELS = (3.0, 2.5, 2.0, 1.8, 1.6)
SPEAKER = 64  # the width whose samples are kept
PROMPT, LENGTH = "\n", 240


def look(width: int, text, vocabulary) -> tuple[list[dict], list[dict]]:
    """Train a network and measure it at LOOKS; at each level of loss that it passes, a sample with the same random numbers."""
    recipe = Recipe(width=width, layers=SIZES[width], steps=LOOKS[-1])
    found, stages = [], []

    def watch(run):
        speaks = width == SPEAKER and len(stages) < len(LEVELS) and run.step % 5 == 0
        if run.step not in LOOKS and not speaks:
            return
        model, tokens = run.model, run.step * recipe.batch * recipe.block
        val = text_loss(model, text.val)
        if run.step in LOOKS:
            found.append(
                {
                    "width": width,
                    "layers": recipe.layers,
                    "parameters": sum(parameter.numel() for parameter in model.parameters()),
                    "step": run.step,
                    "tokens": tokens,
                    "train": round(text_loss(model, text.train[: len(text.val)]), 4),
                    "val": round(val, 4),
                    **table.machine(),
                }
            )
        if speaks and val <= LEVELS[len(stages)]:
            generator = torch.Generator().manual_seed(8)
            said = generate(model, vocabulary.encode(PROMPT), LENGTH, generator)
            level = LEVELS[len(stages)]
            sample = {"loss": level, "step": run.step, "tokens": tokens, "val": round(val, 4)}
            stages.append(sample | {"sample": vocabulary.decode(said)} | table.machine())

    trained(recipe, text, 1, watch)
    return found, stages


def main() -> None:
    setup()
    whole = texts()["bundled"]
    text, vocabulary = in_characters(whole), Vocabulary([whole], end=None)
    rows = [] if "--fresh" in sys.argv else table.read(CSV)
    for width in SIZES:
        if any(row["width"] == str(width) for row in rows):
            continue
        found, stages = look(width, text, vocabulary)
        rows += found
        table.write(CSV, COLUMNS, rows)
        if stages:
            table.write(STAGES, STAGE_COLUMNS, stages)
        print(f"width {width}: val {found[-1]['val']}", flush=True)


if __name__ == "__main__":
    main()
