"""Wrong answers to the exercises of lesson 4, each as a learner might write it, and what the check must say of it."""

import random

import torch
from torch import nn

from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS


def windows(name, memory, end=True, pad=True, turned=False, slide_first=False):
    context, pairs = "." * memory if pad else "", []
    for character in name + "." * end:
        if slide_first:
            context = (context + character)[-memory:]
        pairs.append((context[::-1] if turned else context, character))
        if not slide_first:
            context = (context + character)[-memory:]
    return pairs


def shuffled(
    size, X, Y, generator, keep_last=False, twice=False, apart=False, order=None, seed=None, shared=False
):
    if seed is not None:
        generator = torch.Generator().manual_seed(seed)
    if shared:
        generator = None
    count = len(X)
    first = (
        torch.randint(count, (count,), generator=generator)
        if twice
        else torch.randperm(count, generator=generator)
    )
    first = order(count) if order else first
    second = torch.randperm(count, generator=generator) if apart else first
    stop = count if keep_last else count - size + 1
    return [(X[first[i : i + size]], Y[second[i : i + size]]) for i in range(0, stop, size)]


def adam(
    p,
    g,
    m,
    v,
    step,
    rate,
    decay,
    betas=(0.9, 0.999),
    eps=1e-8,
    corrected=True,
    returned=False,
    coupled=False,
    free=False,
    inside=False,
    last=False,
    root=True,
    up=False,
    squared=True,
):
    if coupled:
        g = g + decay * p
    elif not last:
        p = p * (1 - (1 if free else rate) * decay)
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * (g**2 if squared else g.abs())
    a, b = (m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)) if corrected else (m, v)
    move = a / ((b + eps).sqrt() if inside else (b.sqrt() if root else b) + eps)
    p = p + rate * move if up else p - rate * move
    if last:
        p = p * (1 - rate * decay)
    return (p, a, b) if returned else (p, m, v)


def in_place(p, g, m, v, step, rate, decay):
    p *= 1 - rate * decay
    return adam(p, g, m, v, step, rate, 0)


def net(memory, size=4, hidden=20):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Embedding(27, size),
        nn.Flatten(),
        nn.Linear(memory * size, hidden),
        nn.Tanh(),
        nn.Linear(hidden, 27),
    )


def trained(X, Y, steps=60, finish=None):
    model = net(X.shape[1])
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for step in range(steps):
        rows = slice(step * 512 % (len(Y) - 512), step * 512 % (len(Y) - 512) + 512)
        loss = nn.functional.cross_entropy(model(X[rows]), Y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return nn.Sequential(model, finish) if finish else model


def learned_from_dev(X, Y):
    model = net(X.shape[1], 10, 100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    dev_X, dev_Y = examples(split(load_names()).dev, X.shape[1], LETTERS)
    for _ in range(4):
        for x, y in zip(dev_X.split(512), dev_Y.split(512), strict=True):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


class Broken(nn.Module):
    def forward(self, X):
        return torch.full((len(X), 27), float("nan"))


def cut(names, seed, distinct=True, share=0.9, shuffle=True, swap=False, drop=False, fixed=False):
    names = list(dict.fromkeys(names)) if distinct else list(names)
    if shuffle:
        random.Random(0 if fixed else seed).shuffle(names)
    place = int(share * len(names))
    train, dev = names[:place], names[place + drop :]
    return (dev, train) if swap else (train, dev)


def sorted_first(names, seed):
    return cut(sorted(set(names)), seed, shuffle=False)


def by_a_set(names, seed):
    return cut(list(set(names)), seed)


def with_the_shared_one(names, seed):
    distinct = list(dict.fromkeys(names))
    random.seed(seed)
    random.shuffle(distinct)
    place = int(0.9 * len(distinct))
    return distinct[:place], distinct[place:]


def shuffled_in_place(names, seed):
    random.Random(seed).shuffle(names)
    return cut(names, seed)


def unseeded(names, seed):
    return cut(names, random.SystemRandom().random())


def distinct_within_parts(names, seed):
    train, dev = cut(names, seed, distinct=False)
    return list(dict.fromkeys(train)), list(dict.fromkeys(dev))


def probabilities(X, Y):
    return trained(X, Y, finish=nn.Softmax(1))


def hidden_only(inputs, W1, b1, W2, b2):
    return torch.tanh(inputs @ W1 + b1) @ W2 + b2


NETWORKS = [
    (lambda X, Y: net(X.shape[1]), "hardly been trained"),
    (trained, "hardly been trained"),
    (probabilities, "with probabilities"),
    (lambda X, Y: trained(X, Y, finish=nn.Flatten(0)), "logits of shape (5, 27)"),
    (lambda X, Y: 2.1, "a trained nn.Module was expected"),
    (lambda X, Y: Broken(), "a loss of nan on dev"),
    (lambda X, Y: trained(X.float(), Y), "raised RuntimeError"),
]

WRONG = {
    "4.1": [
        (lambda name, memory: windows(name, memory, end=False), "The end is missing"),
        (lambda name, memory: windows(name, memory, turned=True), "turned round"),
        (lambda name, memory: windows(name, memory, pad=False), "differ in length"),
        (lambda name, memory: windows(name, memory, slide_first=True), "The answer stands in the question"),
        (lambda name, memory: windows(name, memory)[memory:], "The beginning is missing"),
        (lambda name, memory: ["".join(pair) for pair in windows(name, memory)], "a list of pairs"),
        (lambda name, memory: iter(windows(name, memory)), "a list was expected"),
        (lambda name, memory: windows(name, 3), None),
    ],
    "4.2": [
        (lambda C, X: C[X].transpose(1, 2).reshape(len(X), -1), "shuffled into each other"),
        (lambda C, X: C[X.T].reshape(len(X), -1), "letters of other examples"),
        (lambda C, X: C[X.flip(1)].flatten(1), "The newest letter comes first"),
        (lambda C, X: C[X], "an axis of their own"),
        (lambda C, X: C[X].view(-1, C.shape[1]), "a row to itself"),
        (lambda C, X: C[X].sum(1), "added up"),
        (lambda C, X: C[X].mean(1), "averaged"),
        (lambda C, X: C[X].view(32, 30), "raised RuntimeError"),
        (lambda C, X: C[X].flatten(1).double(), "float64"),
    ],
    "4.3": [
        (lambda x, W1, b1, W2, b2, D: hidden_only(x, W1, b1, W2, b2), "The short cut is not in it"),
        (lambda x, W1, b1, W2, b2, D: x @ D + b2, "Only the short cut"),
        (lambda x, W1, b1, W2, b2, D: (x @ W1 + b1) @ W2 + b2 + x @ D, "The tanh is missing"),
        (
            lambda x, W1, b1, W2, b2, D: (hidden_only(x, W1, b1, W2, b2) + x @ D).tanh(),
            "The logits went through",
        ),
        (lambda x, W1, b1, W2, b2, D: hidden_only(x, W1, b1, W2, b2) + (x @ D).tanh(), "it is linear"),
        (lambda x, W1, b1, W2, b2, D: (hidden_only(x, W1, b1, W2, b2) + x @ D).softmax(1), "probabilities"),
        (lambda x, W1, b1, W2, b2, D: torch.tanh(x @ W1 + b1) @ W2 + x @ D, "b2 is missing"),
        (lambda x, W1, b1, W2, b2, D: torch.tanh(x @ W1 + b1 + x @ D) @ W2 + b2, "raised RuntimeError"),
    ],
    "4.4": [
        (lambda *a: shuffled(*a, twice=True), "twice"),
        (lambda *a: shuffled(*a, apart=True), "no longer belong together"),
        (lambda *a: shuffled(*a, keep_last=True), "the last one is not full"),
        (lambda *a: shuffled(*a, order=torch.arange), "in the order of the file"),
        (lambda *a: shuffled(*a, seed=7), "the same order twice"),
        (lambda *a: shuffled(*a, shared=True), "everybody shares"),
        (lambda *a: [x for x, _ in shuffled(*a)], "pairs"),
        (lambda size, X, Y, generator: [(X, Y)], "gave batches of"),
        (lambda size, X, Y, generator: shuffled(size, X, Y[:, None], generator), "shapes"),
    ],
    "4.5": [
        (lambda *a: adam(*a, corrected=False), "not corrected"),
        (lambda *a: adam(*a, returned=True), "corrected before they are returned"),
        (lambda *a: adam(*a, coupled=True), "Adam with a penalty"),
        (lambda *a: adam(*a, free=True), "not multiplied by the rate"),
        (lambda *a: adam(*a, last=True), "came after the step"),
        (lambda *a: adam(*a, inside=True), "outside the root"),
        (lambda *a: adam(*a, betas=(0.999, 0.9)), "swapped"),
        (lambda *a: adam(*a[:4], a[4] + 1, *a[5:]), "counts from 1"),
        (lambda *a: adam(*a, root=False), "The root is missing"),
        (lambda *a: adam(*a, up=True), "uphill"),
        (lambda *a: adam(*a[:6], 0.0), "The decay is missing"),
        (lambda *a: adam(*a)[0], "three tensors"),
        (in_place, "changed its input"),
    ],
    "4.6": NETWORKS,
    "4.7": [*NETWORKS[:1], (learned_from_dev, "Has it been shown the dev names?"), *NETWORKS[2:5]],
    "4.8": [
        (lambda names, seed: cut(names, seed, distinct=False), "into both parts"),
        (distinct_within_parts, "into both parts"),
        (lambda names, seed: cut(names, seed, shuffle=False), "did not shuffle"),
        (sorted_first, None),
        (by_a_set, "next session of Python"),
        (with_the_shared_one, "everybody shares"),
        (shuffled_in_place, "changed its input"),
        (unseeded, "the second time"),
        (lambda names, seed: cut(names, seed, fixed=True), "the same dev part for seed 2"),
        (lambda names, seed: cut(names, seed, share=0.8), "were expected"),
        (lambda names, seed: cut(names, seed, swap=True), "The large part comes first"),
        (lambda names, seed: cut(names, seed, drop=True), "lost"),
        (lambda names, seed: tuple(map(set, cut(names, seed))), "two lists"),
    ],
}
