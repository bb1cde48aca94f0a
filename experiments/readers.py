"""Ways to read a long context, each with three seeds: writes readers.csv (`make experiments`).

Flat networks and trees, with and without what may make the difference, read windows of eight letters; the convolution, WaveNet, the RNN
and the GRU read names whole. With LESSONS_DATA set the lectures' names are measured too. README.md explains the columns.
"""

import sys
import time
from typing import NamedTuple

import table
import torch
from torch import Tensor, nn

from lessons_lib.data import examples
from lessons_lib.ladder import LETTERS
from lessons_lib.layers import BatchNorm, CausalConv, FlattenConsecutive, GatedBlock
from lessons_lib.reading import from_reader, letter_loss, mean_letter_loss, packed, whole
from lessons_lib.recurrent import GRUCell, Recurrent, RNNCell
from lessons_lib.sampling import from_network
from lessons_lib.training import Training, one_cycle, setup, split_loss

CSV = table.HERE / "readers.csv"
LETTERS_PER_NAME = 7  # about, with the end mark: a batch of names is as many letters as a batch of windows


class Reader(NamedTuple):
    """A network and how it is trained. A batch counts letters; those that read names whole take batch / 7 names."""

    kind: str
    context: int = 8  # letters; of no meaning to the recurrent ones
    embedding: int = 24
    hidden: int = 128
    dropout: float = 0.0
    decay: float = 1e-4
    peak: float = 0.01
    batch: int = 512
    epochs: int = 12


# The others read names whole.
WINDOWS = ("flat", "flat, no norm", "tree", "tree, a mean for each place", "tree, a matrix for each pair")
READERS = {
    "flat": Reader("flat", embedding=10, hidden=200),  # 22,097 numbers
    "tree, a mean for each place": Reader("tree, a mean for each place", embedding=10, hidden=68),  # 22,397
    "tree": Reader("tree", embedding=10, hidden=68),
    "tree, a matrix for each pair": Reader("tree, a matrix for each pair", embedding=10, hidden=52),  # 22,397
    "flat without BatchNorm": Reader("flat, no norm", embedding=10, hidden=204),  # 22,329
    "flat, scaled up": Reader("flat", embedding=24, hidden=344, decay=0.03),  # 76,699
    "flat, scaled up, without BatchNorm": Reader(
        "flat, no norm", embedding=24, hidden=345, decay=0.03
    ),  # 76,575
    "tree, scaled up": Reader("tree", decay=0.03),  # 76,579
    "convolution": Reader("convolution", decay=0.03),  # 76,579: the same tree, read whole
    "WaveNet": Reader("WaveNet", hidden=64, peak=0.005, decay=0.01),
    "RNN": Reader("RNN", hidden=224, peak=0.003, decay=0.01),
    "GRU": Reader("GRU", hidden=128, peak=0.005, decay=0.01),
}
COLUMNS = ("data", "reader", "seed", *Reader._fields, "parameters", "train", "dev", "seconds", *table.MACHINE)


class PlaceNorm(nn.Module):
    """The mistake of lesson 7: mean and variance over axis 0 alone, so that each of the places has its own."""

    def __init__(self, places: int, width: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(places * width, affine=False)
        self.gain, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.flatten(1)).view(x.shape) * self.gain + self.bias


class Convolution(nn.Module):
    """The tree as dilated causal convolutions, read over whole names: X (N, L) -> (P, 27) logits."""

    def __init__(self, context: int, embedding: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS.size, embedding)
        dilations = [2**level for level in range(context.bit_length() - 1)]
        widths = [embedding] + [hidden] * len(dilations)
        self.convs = nn.ModuleList(
            CausalConv(width, hidden, d, bias=False) for width, d in zip(widths, dilations, strict=False)
        )
        self.norms = nn.ModuleList(BatchNorm(hidden) for _ in dilations)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, LETTERS.size)

    def forward(self, X: Tensor) -> Tensor:
        letters, place = packed(X)
        x = self.embedding(letters)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.dropout(norm(conv(x, place)).tanh())
        return self.out(x)


class WaveNet(nn.Module):
    """Gated blocks with residual and skip connections over dilated causal convolutions: X (N, L) -> (P, 27) logits."""

    def __init__(self, context: int, hidden: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(LETTERS.size, hidden)
        dilations = [2**level for level in range(context.bit_length() - 1)]
        self.blocks = nn.ModuleList(GatedBlock(hidden, dilation, dropout) for dilation in dilations)
        self.end = nn.Sequential(
            nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, LETTERS.size)
        )

    def forward(self, X: Tensor) -> Tensor:
        letters, place = packed(X)
        x, total = self.embedding(letters), 0
        for block in self.blocks:
            x, change = block(x, place)
            total = total + change
        return self.end(total)


class EachPair(nn.Module):
    """A matrix of its own for each of the places, where the tree has one for all: (N, places, inputs) -> (N, places, outputs)."""

    def __init__(self, places: int, inputs: int, outputs: int):
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(inputs, outputs, bias=False) for _ in range(places))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([linear(x[:, place]) for place, linear in enumerate(self.linears)], dim=1)


def windowed(reader: Reader) -> nn.Sequential:
    """Flat or tree, or one of their relations that differ in a single respect: (N, context) -> (N, 27) logits."""
    width, places, layers = reader.embedding, reader.context, [nn.Embedding(LETTERS.size, reader.embedding)]
    flat, own = reader.kind.startswith("flat"), reader.kind.endswith("matrix for each pair")
    count = places if flat else 2
    while places > 1:
        width, places = width * count, places // count
        if reader.kind == "flat, no norm":
            layers += [FlattenConsecutive(count), nn.Linear(width, reader.hidden), nn.Tanh()]
        else:
            one = (
                EachPair(places, width, reader.hidden) if own else nn.Linear(width, reader.hidden, bias=False)
            )
            norm = BatchNorm(reader.hidden) if "mean" not in reader.kind else PlaceNorm(places, reader.hidden)
            layers += [FlattenConsecutive(count), one, norm, nn.Tanh()]
        layers += [nn.Dropout(reader.dropout)] * (reader.dropout > 0)
        width = reader.hidden
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(width, LETTERS.size))


def start(model: nn.Module, generator: torch.Generator) -> nn.Module:
    """As lesson 5 advises before tanh: weights of spread (5/3) / sqrt(fan-in), and a last layer that begins unsure."""
    linears = [module for module in model.modules() if isinstance(module, nn.Linear)]
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator))
        for module in linears:
            gain = (5 / 3 if module is not linears[-1] else 0.1) / module.in_features**0.5
            module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * gain)
            if module.bias is not None:
                module.bias.zero_()
    return model


def build(reader: Reader, seed: int) -> nn.Module:
    """An untrained network. WaveNet and the recurrent ones keep PyTorch's own initialization."""
    torch.manual_seed(seed)
    if reader.kind in WINDOWS:
        return start(windowed(reader), torch.Generator().manual_seed(seed))
    if reader.kind == "convolution":
        model = Convolution(reader.context, reader.embedding, reader.hidden, reader.dropout)
        return start(model, torch.Generator().manual_seed(seed))
    if reader.kind == "WaveNet":
        return WaveNet(reader.context, reader.hidden, reader.dropout)
    cell = {"RNN": RNNCell, "GRU": GRUCell}[reader.kind](reader.embedding, reader.hidden)
    return Recurrent(cell, LETTERS.size, reader.embedding, reader.dropout)


def trained(reader: Reader, train: list[str], seed: int) -> nn.Module:
    """A reader after its recipe, on the names `train`: AdamW, one cycle, and for the recurrent ones gradients of at most 1."""
    model = build(reader, seed)
    if reader.kind in WINDOWS:
        pairs, batch, loss = (
            examples(train, reader.context, LETTERS),
            reader.batch,
            nn.functional.cross_entropy,
        )
    else:
        pairs, batch, loss = whole(train, LETTERS), reader.batch // LETTERS_PER_NAME, letter_loss
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=reader.decay, fused=True)
    if isinstance(model, Recurrent):
        optimizer.register_step_pre_hook(lambda *_: clip(model))
    rate = one_cycle(len(pairs[0]) // batch * reader.epochs, reader.peak)
    Training(
        model, optimizer, pairs, epochs=reader.epochs, batch=batch, rate=rate, seed=seed, loss=loss
    ).run()
    return model


def clip(model: nn.Module) -> None:
    """Gradients of length 1 at most, as in lesson 5."""
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)


def loss_on(model: nn.Module, reader: Reader, names: list[str]) -> float:
    """Nats a letter."""
    if reader.kind in WINDOWS:
        return split_loss(model, *examples(names, reader.context, LETTERS))
    return mean_letter_loss(model, *whole(names, LETTERS))


def as_model(model: nn.Module, reader: Reader):
    """A trained reader as a model of lessons_lib.ladder."""
    if reader.kind in WINDOWS:
        return from_network(model, reader.context, LETTERS)
    return from_reader(model, LETTERS)


def measure(reader: Reader, names, seed: int) -> dict:
    """Of a row: train on names.train, measure on train and dev. Seconds are those of the processor, whatever else it did."""
    began = time.process_time()
    model = trained(reader, names.train, seed)
    seconds = time.process_time() - began
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "train": round(loss_on(model, reader, names.train), 4),
        "dev": round(loss_on(model, reader, names.dev), 4),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    setup()
    sets = table.data_sets()
    wanted = [
        {"data": data, "reader": name, "seed": seed, **reader._asdict()}
        for data in sets
        for name, reader in READERS.items()
        for seed in (1, 2, 3)
    ]

    def measure_row(data, reader, seed, **settings):
        return measure(Reader(**settings), sets[data], seed)

    table.fill(CSV, COLUMNS, wanted, measure_row, fresh="--fresh" in sys.argv)


if __name__ == "__main__":
    main()
