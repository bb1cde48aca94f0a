"""Train and measure every rung of the model ladder and write ladder.csv: `make experiments`.

Each rung is a function from the training names to (model, number of parameters). The names are `split(load_names(), SEED)`:
models learn from train, and dev gives the loss in the file. README.md beside this file explains the columns.
"""

import csv
import functools
import os
import platform
import sys
import time
from collections import Counter
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))  # a test loads this file from elsewhere

import context
import gpt_names
import readers
import search
import starts
import table

from lessons_lib import by_hand, ngrams
from lessons_lib.autograd import Value
from lessons_lib.data import load_names, split
from lessons_lib.ladder import CSV, LETTERS, Rung, evaluate, samples, uniform, without_context
from lessons_lib.longer_ngrams import kneser_ney
from lessons_lib.reading import from_reader
from lessons_lib.sampling import from_network
from lessons_lib.training import setup

SEED = 42


def nothing_learned(train):
    """27 characters, all equally likely."""
    return uniform, 0


def letter_frequencies(train, steps=300, rate=10.0):
    """27 logits, from zero, by gradient descent through the scalar engine of lesson 1.

    The loss is the cross-entropy log(sum exp(logits)) - sum(share * logit), with the share of each character in the training
    names. It has one minimum, the counted frequencies, and its curvature is at most a tenth or two: hence the large rate.
    """
    counts = Counter(character for name in train for character in name + LETTERS.end)
    total = sum(counts.values())
    shares = [counts[character] / total for character in LETTERS.characters]
    logits = [Value(0.0) for _ in shares]
    for _ in range(steps):
        normaliser = sum(logit.exp() for logit in logits).log()
        loss = normaliser - sum(share * logit for share, logit in zip(shares, logits, strict=True))
        for logit in logits:
            logit.grad = 0.0
        loss.backward()
        for logit in logits:
            logit.data -= rate * logit.grad
    learned = torch.tensor([logit.data for logit in logits], dtype=torch.float64)  # (27,)
    return without_context(learned.log_softmax(0)), len(logits)


def add_k_table(train, n, k):
    """The n-grams of the training names with k added to every count; lesson 2 chooses k on dev."""
    table = ngrams.add_k(ngrams.count(train, n, LETTERS), k)
    return ngrams.as_model(table, LETTERS), table.numel()


def leaning_table(train, n):
    """n-grams that lean on shorter ones, after Witten and Bell. Its numbers are the counts above 0, of all lengths up to n."""
    counts = ngrams.count(train, n, LETTERS)
    lengths = [counts]
    while lengths[-1].dim() > 1:
        lengths.append(lengths[-1].sum(0))  # the table that is one character shorter
    stored = sum(int((table > 0).sum()) for table in lengths)
    return ngrams.as_model(ngrams.witten_bell(counts), LETTERS), stored


def learned_pairs(train, steps=1000, rate=50.0):
    """A row of 27 logits for each character, from zero, by gradient descent on all pairs at once, as in lesson 3.

    The mean cost of all examples depends on them through their counts alone, so one pass over 729 cells does for 200,000 pairs.
    """
    counts = ngrams.count(train, 2, LETTERS)
    logits = torch.zeros(counts.shape, dtype=torch.float64, requires_grad=True)
    for _ in range(steps):
        loss = -(counts * logits.log_softmax(1)).sum() / counts.sum()
        (slopes,) = torch.autograd.grad(loss, logits)
        with torch.no_grad():
            logits -= rate * slopes
    return ngrams.as_model(logits.detach().softmax(1), LETTERS), logits.numel()


def network_from(train, start):
    """The network of 11,897 numbers that reads three letters, from one of the STARTS that lesson 5 compares."""
    model = starts.trained(start, train, SEED)
    return from_network(model, starts.CONTEXT, LETTERS), sum(p.numel() for p in model.parameters())


def network_of_eight(train):
    """The network with which lesson 4 goes furthest: 24 numbers a letter, 200 hidden units, PyTorch's own start."""
    size = context.Network(8)
    model = context.trained(size, train, SEED)
    return from_network(model, size.letters, LETTERS), sum(p.numel() for p in model.parameters())


def kneser_ney_table(train, letters=5):
    """The strongest counting of the course: n-grams that lean on shorter ones after Kneser and Ney."""
    model = kneser_ney(train, letters, LETTERS)
    return model, model.stored


def trained_by_hand(train):
    """The network of lesson 6, for which every gradient was written out: no graph, no backward()."""
    network = by_hand.trained(train, SEED)
    return from_network(network, by_hand.CONTEXT, LETTERS), network.numbers


def reader(train, name):
    """One of the READERS that lesson 7 compares."""
    model = readers.trained(readers.READERS[name], train, SEED)
    return readers.as_model(model, readers.READERS[name]), sum(p.numel() for p in model.parameters())


def found_by_search(train):
    """The GRU with the lowest loss on dev in the search of lesson 7, trained with the seed of the ladder."""
    settings = search.typed(search.best(table.read(search.SEARCH), "bundled", "GRU"))
    model = readers.trained(settings, train, SEED)
    return readers.as_model(model, settings), sum(p.numel() for p in model.parameters())


def gpt(train):
    """The GPT that reads names best, by its mean loss on dev over three seeds."""
    settings = gpt_names.best(table.read(gpt_names.CSV))
    model = gpt_names.trained(settings, train, SEED)
    return from_reader(model, LETTERS), sum(p.numel() for p in model.parameters())


# Lesson, name of the model, how it is made: from the ground up.
MODELS = [
    (0, "uniform", nothing_learned),
    (1, "letter frequencies, learned by our own engine", letter_frequencies),
    (2, "1 letter of memory, add-k", functools.partial(add_k_table, n=2, k=0.1)),
    (2, "2 letters of memory, add-k", functools.partial(add_k_table, n=3, k=0.2)),
    (2, "3 letters of memory, add-k", functools.partial(add_k_table, n=4, k=0.2)),
    (2, "3 letters of memory, leaning on fewer", functools.partial(leaning_table, n=4)),
    (2, "4 letters of memory, leaning on fewer", functools.partial(leaning_table, n=5)),
    (3, "1 letter of memory, learned", learned_pairs),
    (4, "3 letters of memory, the network by hand", functools.partial(network_from, start="as in lesson 4")),
    (4, "8 letters of memory, a network", network_of_eight),
    (4, "5 letters of memory, leaning after Kneser and Ney", kneser_ney_table),
    (
        5,
        "3 letters of memory, a network started well",
        functools.partial(network_from, start="scaled by fan-in"),
    ),
    (5, "the same with BatchNorm", functools.partial(network_from, start="with BatchNorm")),
    (6, "3 letters of memory, trained by hand", trained_by_hand),
    (7, "8 letters of memory, read at once", functools.partial(reader, name="flat")),
    (7, "8 letters of memory, a tree", functools.partial(reader, name="tree")),
    (7, "8 letters of memory, the tree scaled up", functools.partial(reader, name="tree, scaled up")),
    (7, "8 letters of memory, WaveNet's convolution", functools.partial(reader, name="WaveNet")),
    (7, "the whole name, an RNN", functools.partial(reader, name="RNN")),
    (7, "the whole name, a GRU", functools.partial(reader, name="GRU")),
    (7, "the whole name, the GRU that a search found", found_by_search),
    (8, "the whole name, a GPT", gpt),
]


def measure(number):
    """Train and measure one rung, `MODELS[number]`."""
    lesson, name, make = MODELS[number]
    names = split(load_names(), SEED)
    start = time.perf_counter()
    model, parameters = make(names.train)
    seconds = time.perf_counter() - start
    return Rung(
        rung=number,
        lesson=lesson,
        model=name,
        parameters=parameters,
        dev_loss=round(evaluate(model, names.dev), 6),
        seconds=round(seconds, 2),
        samples=tuple(samples(model)),
        seed=SEED,
        machine=f"{os.cpu_count()} CPU cores, {torch.get_num_threads()} used",
        python=platform.python_version(),
        torch=torch.__version__,
    )


def main():
    setup()
    with CSV.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Rung._fields)
        for number in range(len(MODELS)):
            rung = measure(number)
            writer.writerow(rung._replace(samples=" ".join(rung.samples)))
            print(f"{rung.model}: {rung.dev_loss:.4f} nats on dev, {rung.seconds:.2f} s")


if __name__ == "__main__":
    main()
