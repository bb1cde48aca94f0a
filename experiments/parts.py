"""From counting pairs to a transformer, one part at a time, at the size of the lecture; writes parts.csv (`make experiments`).

Every row adds one part to the row above it. README.md explains the columns.
"""

import sys
import time
from typing import NamedTuple

import table
import torch
from texts import in_characters, rows, texts
from torch import Tensor, nn

from lessons_lib.attention import Attention
from lessons_lib.training import Training, one_cycle, setup
from lessons_lib.transformer import text_loss, token_loss

CSV = table.HERE / "parts.csv"


class Parts(NamedTuple):
    """Which parts a network has. `layers` counts attentions, each with its feed-forward where there is one."""

    layers: int = 0
    heads: int = 1
    feed_forward: bool = False
    residual: bool = False
    norm: bool = False


LADDER = {
    "pairs": Parts(),
    "one head": Parts(1),
    "four heads": Parts(1, 4),
    "+ feed-forward": Parts(1, 4, True),
    "three of them": Parts(3, 4, True),
    "+ residual": Parts(3, 4, True, True),
    "+ LayerNorm": Parts(3, 4, True, True, True),
}
WIDTH, BLOCK, BATCH, STEPS = 32, 8, 32, 3000
PEAKS, SEEDS = (0.002, 0.01), (1, 2, 3)
COLUMNS = ("data", "row", "peak", "seed", *Parts._fields, "parameters", "val", "seconds", *table.MACHINE)


class Stack(nn.Module):
    """A network with the parts asked for: tokens (B, T) -> logits (B, T, size). PyTorch's own initialization."""

    def __init__(self, size: int, parts: Parts):
        super().__init__()
        self.parts, self.block = parts, BLOCK
        if not parts.layers:
            self.pairs = nn.Embedding(size, size)  # the logits themselves
            return
        self.tokens, self.places = nn.Embedding(size, WIDTH), nn.Embedding(BLOCK, WIDTH)
        steps = []
        for _ in range(parts.layers):
            steps.append(Attention(WIDTH, parts.heads))
            if parts.feed_forward:
                steps.append(
                    nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH))
                )
        self.steps = nn.ModuleList(steps)
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) if parts.norm else nn.Identity() for _ in steps)
        self.norm = nn.LayerNorm(WIDTH) if parts.norm else nn.Identity()
        self.out = nn.Linear(WIDTH, size)

    def forward(self, tokens: Tensor) -> Tensor:
        if not self.parts.layers:
            return self.pairs(tokens)
        x = self.tokens(tokens) + self.places.weight[: tokens.shape[1]]
        for norm, step in zip(self.norms, self.steps, strict=True):
            change = step(norm(x))
            x = x + change if self.parts.residual else change
        return self.out(self.norm(x))


def trained(parts: Parts, numbers: Tensor, size: int, peak: float, seed: int) -> tuple[Stack, float]:
    """After 3,000 steps of AdamW on random rows of eight, in 64 bits; and the seconds of the processor."""
    torch.manual_seed(seed)
    model = Stack(size, parts).double()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    rate, pairs = one_cycle(STEPS, peak), rows(numbers, BLOCK, STEPS * BATCH, seed)
    began = time.process_time()
    Training(model, optimizer, pairs, epochs=1, batch=BATCH, rate=rate, seed=seed, loss=token_loss).run()
    return model, time.process_time() - began


def best_peak(rows: list[dict], row: str) -> float:
    """The peak with which a network has the lowest mean loss on the plays."""
    on_plays = [one for one in rows if (one["data"], one["row"]) == ("bundled", row)]
    return float(table.lowest_mean(on_plays, "peak", "val"))


def wanted(data: str, peaks: dict[str, tuple[float, ...]]) -> list[dict]:
    return [
        {"data": data, "row": row, "peak": peak, "seed": seed, **parts._asdict()}
        for row, parts in LADDER.items()
        for peak in peaks[row]
        for seed in SEEDS
    ]


def main() -> None:
    setup()
    sets, fresh = {name: in_characters(text) for name, text in texts().items()}, "--fresh" in sys.argv

    def measure(data, row, peak, seed, **settings):
        text = sets[data]
        model, seconds = trained(Parts(**settings), text.train, text.size, peak, seed)
        return {
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "val": round(text_loss(model, text.val, rows=1024), 6),
            "seconds": round(seconds, 1),
        }

    plays = wanted("bundled", dict.fromkeys(LADDER, PEAKS))
    others = [row for row in table.read(CSV) if row["data"] != "bundled"]
    table.fill(CSV, COLUMNS, plays, measure, fresh)
    if len(sets) > 1:  # on the lecture's text every network has the peak that was best on the plays
        done = table.read(CSV)
        again = wanted("tinyshakespeare", {row: (best_peak(done, row),) for row in LADDER})
        table.write(CSV, COLUMNS, done + ([] if fresh else others))
        table.fill(CSV, COLUMNS, plays + again, measure, False)


if __name__ == "__main__":
    main()
