"""Wrong answers to the exercises of lesson 3, each as a learner might write it, and what the check must say of it."""

import torch
import torch.nn.functional as F


def eye_of(xs, size):
    return torch.eye(size)[xs]


def all_in_every_row(xs, size):
    rows = torch.zeros(len(xs), size)
    rows[:, xs] = 1
    return rows


def in_one_row(xs, size):
    row = torch.zeros(size)
    row[xs] = 1
    return row


def numbers_in_place(xs, size):
    rows = torch.zeros(len(xs), size)
    for i, x in enumerate(xs):
        rows[i, x] = x
    return rows


def in_place(logits):
    logits.exp_()
    return logits / logits.sum(1, keepdim=True)


def picked(logits, ys, dim=1):
    return logits.softmax(dim)[torch.arange(len(ys)), ys]


def patched(logits, ys):
    return -(picked(logits, ys) + 1e-8).log().mean()


def raw(logits, ys):
    counts = logits.exp()
    return -(counts / counts.sum(1, keepdim=True))[torch.arange(len(ys)), ys].log().mean()


def one_largest(logits, ys):
    shifted = logits - logits.max()
    return (shifted.exp().sum(1).log() - shifted[torch.arange(len(ys)), ys]).mean()


def surprise(W, N):
    return -(N * W.log_softmax(1)).sum() / N.sum()


def walk(train, steps=400, rate=200.0, rows=False):
    """Logits by gradient descent on the counts of triples, from zero; rows: each row with a rate of its own."""
    counts = train.double()
    asked = counts.sum(-1, keepdim=True)
    share = asked.clamp(min=1) if rows else counts.sum()
    W = torch.zeros(27, 27, 27, dtype=torch.float64)
    for _ in range(steps):
        W -= rate * (asked * W.softmax(-1) - counts) / share
    return W


def after_one_letter(train, dev):
    """The table of pairs, in which the first of the two letters has no say."""
    pairs = train.sum(0).double()
    return ((pairs + 1) / (pairs + 1).sum(-1, keepdim=True)).log().expand(27, 27, 27)


WRONG = {
    "3.1": [
        (lambda xs, size: F.one_hot(xs, size), "int64"),
        (lambda xs, size: eye_of(xs, size).T, "Turned round"),
        (lambda xs, size: eye_of(xs - 1, size), "one place too far left"),
        (numbers_in_place, "a name, not an amount"),
        (all_in_every_row, "the 1 of every example"),
        (in_one_row, "one row"),
        (lambda xs, size: xs[:, None].expand(-1, size).float(), "repeats its number"),
        (lambda xs, size: eye_of(xs, size).bool(), "bool"),
    ],
    "3.2": [
        (lambda logits: logits.exp() / logits.exp().sum(1), "keepdim"),
        (lambda logits: logits.softmax(0), "Your columns add up to one"),
        (lambda logits: logits.exp() / logits.exp().sum(), "The whole table"),
        (lambda logits: logits.exp(), "divide each row"),
        (lambda logits: logits.log_softmax(1), "logarithms of the probabilities"),
        (lambda logits: logits.abs() / logits.abs().sum(1, keepdim=True), "The exponential is missing"),
        (in_place, "changed its input"),
    ],
    "3.3": [
        (lambda logits, ys: -logits.softmax(1).amax(1).log().mean(), "sharpest opinion"),
        (lambda logits, ys: -picked(logits, ys).log().sum(), "That is the sum"),
        (lambda logits, ys: picked(logits, ys).log().mean(), "The sign"),
        (lambda logits, ys: -logits[torch.arange(len(ys)), ys].mean(), "softmax is missing"),
        (lambda logits, ys: -picked(logits, ys, 0).log().mean(), "down the columns"),
        (lambda logits, ys: -logits.softmax(1)[:, ys].log().mean(), "columns of every row"),
        (lambda logits, ys: -picked(logits, ys).mean().log(), "Logarithms first"),
        (lambda logits, ys: 1 - picked(logits, ys).mean(), "Logarithms are missing"),
        (lambda logits, ys: -picked(logits, ys).log(), "the costs of all questions"),
        (lambda logits, ys: F.cross_entropy(logits, ys).item(), "a float"),
        (lambda logits, ys: F.cross_entropy(logits, ys).detach(), "no slope gets through"),
    ],
    "3.4": [
        (raw, "returned nan"),
        (lambda logits, ys: -picked(logits, ys).log().mean(), "returned inf"),
        (one_largest, "a largest logit of its own"),
        (patched, "hides the true cost"),
        (lambda logits, ys: F.cross_entropy(logits.clamp(-80, 80), ys), "Cut logits"),
        (lambda logits, ys: raw(logits.double(), ys).float(), "returned nan"),
        (lambda logits, ys: F.cross_entropy(logits, ys, reduction="sum"), "That is the sum"),
        (lambda logits, ys: F.cross_entropy(logits.detach(), ys), "no slope gets through"),
    ],
    "3.5": [
        (lambda W, N: (N - N.sum(1, keepdim=True) * W.softmax(1)) / N.sum(), "The sign"),
        (lambda W, N: N.sum(1, keepdim=True) * W.softmax(1) - N, "The total is missing"),
        (lambda W, N: W.softmax(1) - N / N.sum(1, keepdim=True).clamp(min=1), "Every row weighs the same"),
        (lambda W, N: W.softmax(1) - N / N.sum(), "once for each of its questions"),
        (lambda W, N: (N.sum(1, keepdim=True) * W.softmax(0) - N) / N.sum(), "down the columns"),
        (lambda W, N: (N.sum(1, keepdim=True) * W - N) / N.sum(), "softmax is missing"),
        (
            lambda W, N: (W.softmax(1) - N / N.sum(1, keepdim=True)) * N.sum(1, keepdim=True) / N.sum(),
            "nans",
        ),
        (lambda W, N: ((N.sum(1, keepdim=True) * W.softmax(1) - N) / N.sum()).float(), "float32"),
    ],
    "3.6": [
        (lambda W, N, strength: surprise(W, N) + strength * W.mean(), "cancel"),
        (lambda W, N, strength: surprise(W, N) + strength * (W**2).sum(), "their mean was asked"),
        (lambda W, N, strength: surprise(W, N) + strength * W.abs().mean(), "L1"),
        (lambda W, N, strength: surprise(W, N) + (W**2).mean(), "The strength is missing"),
        (lambda W, N, strength: surprise(W, N) - strength * (W**2).mean(), "The sign"),
        (lambda W, N, strength: strength * (W**2).mean(), "The loss itself is missing"),
        (
            lambda W, N, strength: surprise(W, N) + strength * (W.softmax(1) ** 2).mean(),
            "not the probabilities",
        ),
        (lambda W, N, strength: surprise(W, N), "The pull is missing"),
    ],
    "3.7": [
        (lambda W, firsts, seconds: W[seconds * W.shape[1] + firsts], "swapped"),
        (lambda W, firsts, seconds: W[firsts * (W.shape[1] - 1) + seconds], "not V - 1"),
        (lambda W, firsts, seconds: W[firsts + seconds], "share a row"),
        (lambda W, firsts, seconds: W[firsts] + W[seconds], "Two rows were added"),
        (lambda W, firsts, seconds: W[seconds], "The first letter has no say"),
        (lambda W, firsts, seconds: W[firsts * 27 + seconds], "Is 27 written in"),
        (lambda W, firsts, seconds: W[firsts * W.shape[1] + seconds].softmax(1), "probabilities"),
        (lambda W, firsts, seconds: W[:, firsts * W.shape[1] + seconds], "shape (1, 3) was expected"),
    ],
    "3.8": [
        (lambda train, dev: torch.zeros(27, 27, 27), "makes no difference"),
        (lambda train, dev: walk(train, rate=0.1, steps=200), "It still crawls"),
        (lambda train, dev: walk(train, rate=2000.0, steps=100), "worse than blind guessing"),
        (lambda train, dev: walk(train + dev, rate=4.0, steps=300, rows=True), "it has learned dev, too"),
        (lambda train, dev: walk(train).softmax(-1), "those are probabilities"),
        (after_one_letter, "makes no difference"),
        (lambda train, dev: walk(train).view(729, 27), "(27, 27, 27) were expected"),
        (lambda train, dev: train.double().log(), "minus infinity"),
        (lambda train, dev: walk(train, steps=100, rate=100.0), "Not far"),
        (lambda train, dev: walk(train, steps=500, rate=150.0), "600 names each"),  # dev is ignored
        (lambda train, dev: walk(train, rate=4.0, steps=3000, rows=True), "not stopped"),
        (lambda train, dev: walk(train) * torch.nan, "nans"),
        (lambda train, dev: train, "whole numbers"),
    ],
}
