"""Lesson 8 as JSON: seconds to the loss of nanoGPT's CPU recipe, and what the key-value cache saves, `python benchmarks/gpt.py`.

The recipe of nanoGPT's README (4 layers, 4 heads, 128 wide, blocks of 64, batches of 12, 2,000 steps) runs here as a configuration of our
own GPT, plain: a sample of its steps is timed around each run of ours, which is timed whole, and scaled. Both read the lecture's text.
"""

import json
import os
import sys
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

import recipes
import texts
import torch
from fast import LARGE, NANOGPT

from lessons_lib.training import setup
from lessons_lib.transformer import GPT, generate, text_loss

SAMPLE, TARGET = 150, 1.886
OURS = LARGE._replace(steps=330)
TURNS, TOKENS, BLOCK = 5, 256, 256


def race(text: texts.Text) -> dict:
    """nanoGPT's recipe and ours in turns, as `recipes.against` has it."""
    sample = NANOGPT._replace(steps=SAMPLE)

    def theirs() -> float:
        began = time.perf_counter()
        texts.trained(sample, text, 1)
        return time.perf_counter() - began

    def ours(text, seed):
        model, _ = texts.trained(OURS, text, seed)
        return lambda: text_loss(model, text.val)

    return recipes.against(text, TARGET, theirs, SAMPLE, ours, steps=NANOGPT.steps)


def cache() -> dict:
    """Seconds for 256 tokens behind a prompt of one, with the cache and without, in turns; and whether they are the same tokens."""
    torch.manual_seed(0)
    model = GPT(65, block=BLOCK)
    seconds: dict[bool, list[float]] = {True: [], False: []}
    said = []
    for _ in range(TURNS):
        for cached in seconds:
            generator, began = torch.Generator().manual_seed(1), time.perf_counter()
            said.append(generate(model, [0], TOKENS - 1, generator, cached=cached))
            seconds[cached].append(time.perf_counter() - began)
    ratios = [slow / fast for slow, fast in zip(seconds[False], seconds[True], strict=True)]
    return {
        "cached": median(seconds[True]),
        "uncached": median(seconds[False]),
        "ratio": median(ratios),
        "lowest": min(ratios),
        "highest": max(ratios),
        "agree": all(one == said[0] for one in said),
    }


if __name__ == "__main__":
    setup(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    results = {"cache": cache()}
    if os.environ.get("LESSONS_DATA"):
        results["race"] = race(texts.in_characters(texts.texts()["tinyshakespeare"]))
    print(json.dumps(results))
