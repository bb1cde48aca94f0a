"""Wrong answers to the exercises of lesson 2, each as a learner might write it, and what the check must say of it."""

import itertools
import math

import torch


def numbered(name, before=1):
    return [0] * before + [ord(letter) - ord("a") + 1 for letter in name] + [0]


def logs(P, name):
    return [P[a, b].log().item() for a, b in zip(numbered(name), numbered(name)[1:], strict=False)]


def mean(values, count=None):
    return -sum(values) / (count or len(values))


def triples(names, before=2, end=True, put=False, order=(0, 1, 2), dtype=torch.int64):
    counts = torch.zeros(27, 27, 27, dtype=dtype)
    for name in names:
        row = numbered(name, before)
        row = row if end else row[:-1]
        for place in zip(row, row[1:], row[2:], strict=False):
            cell = tuple(place[i] for i in order)
            counts[cell] = 1 if put else counts[cell] + 1
    return counts


def leaning(counts, shorter, kinds=None, nans=False, weight=True):
    total = counts.sum(-1, keepdim=True)
    kinds = (counts > 0).sum(-1, keepdim=True) if kinds is None else kinds(counts)
    mixed = (counts + (kinds if weight else 1) * shorter) / (total + kinds)
    return mixed if nans else torch.where(total > 0, mixed, shorter)


WRONG = {
    "2.1": [
        (lambda name: list(itertools.pairwise(name)), "The ends are missing"),
        (lambda name: list(zip("." + name, name, strict=False)), "The end is missing"),
        (lambda name: list(zip(name, name[1:] + ".", strict=False)), "The beginning is missing"),
        (lambda name: zip("." + name, name + ".", strict=True), "a zip; a list was expected"),
        (lambda name: [a + b for a, b in zip("." + name, name + ".", strict=True)], "a list of pairs"),
        (lambda name: [(b, a) for a, b in zip("." + name, name + ".", strict=True)], "First the character"),
    ],
    "2.2": [
        (lambda counts: counts / counts.sum(1), "keepdim"),
        (lambda counts: counts / counts.sum(0, keepdim=True), "Your columns add up to one"),
        (lambda counts: counts / counts.sum(), "The whole table"),
        (lambda counts: counts.float().softmax(1), "softmax"),
        (lambda counts: counts // counts.sum(1, keepdim=True), "int64"),
        (lambda counts: (counts / counts.sum(1, keepdim=True)).tolist(), "list"),
    ],
    "2.3": [
        (lambda p, dart: int(p.argmax()), "the longest piece"),
        (lambda p, dart: int(torch.searchsorted(p.cumsum(0), torch.tensor(dart))), "landed on piece"),
        (
            lambda p, dart: torch.searchsorted(p.cumsum(0), torch.tensor(dart), right=True),
            "an int was expected",
        ),
        (lambda p, dart: int((p.cumsum(0) < dart).sum()) + 1, "landed on"),
        (lambda p, dart: int(dart * len(p)), "landed on"),
        (
            lambda p, dart: int(torch.searchsorted(p.double().cumsum(0), dart, right=True)),
            "a hair less than 1",
        ),
    ],
    "2.4": [
        (lambda P, name: -mean(logs(P, name)), "The sign"),
        (lambda P, name: -sum(logs(P, name)), "That is the sum"),
        (lambda P, name: mean(logs(P, name), len(name)), "over the wrong number"),
        (lambda P, name: mean(logs(P, name)[:-1]), "The end of the name is missing"),
        (lambda P, name: mean(logs(P, name)[1:]), "The beginning is missing"),
        (lambda P, name: mean(logs(P, name)) / math.log(2), "bits"),
        (lambda P, name: mean([P[a].max().log().item() for a in numbered(name)[:-1]]), "the ones that came"),
        (lambda P, name: mean([x for x in logs(P, name) if x > -math.inf]), "costs infinitely much"),
        (lambda P, name: torch.tensor(mean(logs(P, name))), "Tensor"),
    ],
    "2.5": [
        (lambda names: triples(names, before=1), "The beginnings are missing"),
        (lambda names: triples(names, end=False), "The ends are missing"),
        (lambda names: triples(names, before=1, end=False), "Beginnings and ends"),
        (lambda names: triples(names, put=True), "not counted"),
        (lambda names: triples(names, order=(2, 1, 0)), "turned round"),
        (lambda names: triples(names, dtype=torch.float32), "float32"),
        (lambda names: triples(names)[1:], "26"),
    ],
    "2.6": [
        (lambda losses: min(losses, key=lambda k: losses[k][0]), "best on the names it was counted on"),
        (lambda losses: min(losses, key=lambda k: abs(losses[k][1] - losses[k][0])), "differ least"),
        (lambda losses: min(dev for _, dev in losses.values()), "a loss"),
        (lambda losses: max(losses, key=lambda k: losses[k][1]), "best on the names it was counted on"),
        (lambda losses: 0.3, "was expected"),
    ],
    "2.7": [
        (lambda counts, shorter: leaning(counts, shorter, nans=True), "nans"),
        (
            lambda counts, shorter: leaning(counts, shorter, kinds=lambda c: c.sum(-1, keepdim=True)),
            "Half and half",
        ),
        (lambda counts, shorter: leaning(counts, shorter, kinds=lambda c: 1), "t counts as 1"),
        (lambda counts, shorter: leaning(counts, shorter, weight=False), "multiplied by t"),
        (lambda counts, shorter: counts / counts.sum(-1, keepdim=True).clamp(min=1), "was expected"),
        (lambda counts, shorter: shorter, None),
    ],
}
