"""What reading names whole saves: one network of 76,579 numbers called in four ways on the same names; writes packing.csv.

The tree is called for every window; its convolutions run over rows filled up to the longest name, and over names laid end to end, with torch's
Conv1d and with ours. All take turns, batch after batch, and a row of the file holds medians. README.md explains the columns.
"""

import sys
import time
from statistics import median

import table
import torch
import torch.nn.functional as F
from readers import READERS, build
from torch import Tensor, nn

from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.layers import BatchNorm
from lessons_lib.reading import whole
from lessons_lib.training import setup

CSV = table.HERE / "packing.csv"
COLUMNS = (
    "way",
    "names",
    "letters",
    "computed",
    "milliseconds",
    "ratio",
    "lowest",
    "highest",
    *table.MACHINE,
)
SIZES = (73, 292)  # names in a batch: about 512 and 2,048 letters
TURNS = 60


class Channels(nn.Module):
    """The tree as torch's own convolutions, which want channels before places: (N, L) letters -> (N, 27, L) logits."""

    def __init__(self, tree: nn.Sequential):
        super().__init__()
        linears = [module for module in tree if isinstance(module, nn.Linear)]
        self.embedding, self.norms = nn.Embedding(LETTERS.size, linears[0].in_features // 2), nn.ModuleList()
        self.convs = nn.ModuleList()
        for level, linear in enumerate(linears[:-1]):
            conv = nn.Conv1d(linear.in_features // 2, linear.out_features, 2, dilation=2**level, bias=False)
            with torch.no_grad():
                conv.weight.copy_(linear.weight.view(linear.out_features, 2, -1).transpose(1, 2))
            self.convs.append(conv)
            self.norms.append(nn.BatchNorm1d(linear.out_features))
        self.out = nn.Conv1d(linears[-1].in_features, LETTERS.size, 1)
        with torch.no_grad():
            self.embedding.weight.copy_(tree[0].weight)
            self.out.weight.copy_(linears[-1].weight[:, :, None])
            self.out.bias.copy_(linears[-1].bias)

    def forward(self, X: Tensor) -> Tensor:
        x = self.embedding(X.clamp(min=0)).transpose(1, 2)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            silence = x[:, :, :1].expand(-1, -1, conv.dilation[0])  # the first place, again and again
            x = norm(conv(torch.cat([silence, x], dim=2))).tanh()
        return self.out(x)


def same_weights(tree: nn.Sequential) -> nn.Module:
    """The reader called convolution, with the numbers of this tree."""
    model = build(READERS["convolution"], 0)
    linears, norms = (
        [module for module in tree if isinstance(module, kind)] for kind in (nn.Linear, BatchNorm)
    )
    model.embedding.load_state_dict(tree[0].state_dict())
    for conv, linear in zip(model.convs, linears[:-1], strict=True):
        conv.linear.load_state_dict(linear.state_dict())
    for norm, other in zip(model.norms, norms, strict=True):
        norm.load_state_dict(other.state_dict())
    model.out.load_state_dict(linears[-1].state_dict())
    return model


def ways(names: list[str]) -> dict:
    """way -> (module, call without arguments that gives logits and answers, places computed)."""
    tree = build(READERS["tree, scaled up"], 0)
    channels, packed = Channels(tree), same_weights(tree)
    windows, (X, Y) = examples(names, 8, LETTERS), whole(names, LETTERS)
    there = Y >= 0
    letters, answers = X[there][None], Y[there][None]
    return {
        "windows": (tree, lambda: (tree(windows[0]), windows[1]), len(windows[1])),
        "padded rows, Conv1d": (channels, lambda: (channels(X), Y), X.numel()),
        "one tape, Conv1d": (channels, lambda: (channels(letters), answers), len(answers[0])),
        "one tape, ours": (packed, lambda: (packed(X), Y[there]), len(answers[0])),
    }


def measure_all(names: list[str], turns: int) -> list[dict]:
    """Milliseconds a batch, forward and backward, for each way; ratio says how many times faster than windows, turn by turn."""
    found = ways(names)
    took = {way: [] for way in found}
    for turn in range(turns + 3):
        for way, (module, call, _) in found.items():
            module.zero_grad()
            start = time.perf_counter()
            F.cross_entropy(*call()).backward()
            if turn >= 3:  # the first are spent on memory that is asked for once
                took[way].append(time.perf_counter() - start)
    rows = []
    for way, (_, _, computed) in found.items():
        ratios = sorted(a / b for a, b in zip(took["windows"], took[way], strict=True))
        rows.append(
            {
                "way": way,
                "names": len(names),
                "letters": found["windows"][2],
                "computed": computed,
                "milliseconds": round(1000 * median(took[way]), 2),
                "ratio": round(median(ratios), 2),
                "lowest": round(ratios[turns // 10], 2),
                "highest": round(ratios[-turns // 10], 2),
                **table.machine(),
            }
        )
    return rows


def main() -> None:
    setup()
    names = split(load_names()).train
    if CSV.exists() and "--fresh" not in sys.argv:
        return
    rows = [row for size in SIZES for row in measure_all(names[:size], TURNS)]
    table.write(CSV, COLUMNS, rows)
    for row in rows:
        print(*(f"{name} {row[name]}" for name in COLUMNS[:-3]), sep=", ")


if __name__ == "__main__":
    main()
