"""Seconds to the lecture's loss for lessons 6 and 7, as JSON: gradients by hand and the tree, `python benchmarks/deeper_recipes.py`.

As in recipes.py, a sample of the lecture's 200,000 steps is timed around each run of ours and scaled. By hand, the lecture adds the
embedding's gradient letter by letter, in two loops; its tree is of layers of its own, each a Python call. Both are written here in that manner.
"""

import json
import os
import sys
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "experiments"))

import readers
import recipes
import torch
import torch.nn.functional as F

from lessons_lib import by_hand
from lessons_lib.data import examples, load_names, split
from lessons_lib.ladder import LETTERS
from lessons_lib.training import setup

SAMPLE = 1_500


def by_hand_steps(X, Y, steps: int = SAMPLE) -> float:
    """Seconds for so many steps of the lecture's training without autograd: 12,297 numbers, batches of 32."""
    generator = torch.Generator().manual_seed(2147483647)

    def normal(*shape):
        return torch.randn(shape, generator=generator)

    C, W1, b1 = normal(27, 10), normal(30, 200) * (5 / 3) / 30**0.5, normal(200) * 0.1
    W2, b2 = normal(200, 27) * 0.1, normal(27) * 0.1
    gain, bias = torch.ones(1, 200), torch.zeros(1, 200)
    n, start = 32, time.perf_counter()
    with torch.no_grad():
        for _ in range(steps):
            rows = torch.randint(0, len(X), (n,), generator=generator)
            x, y = X[rows], Y[rows]
            flat = C[x].view(n, -1)
            pre = flat @ W1 + b1
            mean = pre.mean(0, keepdim=True)
            var = pre.var(0, keepdim=True, unbiased=True)
            inv = (var + 1e-5) ** -0.5
            norm = (pre - mean) * inv
            h = torch.tanh(gain * norm + bias)
            logits = h @ W2 + b2
            F.cross_entropy(logits, y)
            dlogits = F.softmax(logits, 1)
            dlogits[range(n), y] -= 1
            dlogits /= n
            dh, dW2, db2 = dlogits @ W2.T, h.T @ dlogits, dlogits.sum(0)
            dact = (1 - h**2) * dh
            dgain, dbias = (norm * dact).sum(0, keepdim=True), dact.sum(0, keepdim=True)
            dpre = gain * inv / n * (n * dact - dact.sum(0) - n / (n - 1) * norm * (dact * norm).sum(0))
            dflat, dW1, db1 = dpre @ W1.T, flat.T @ dpre, dpre.sum(0)
            demb, dC = dflat.view(n, 3, 10), torch.zeros_like(C)
            for row in range(n):
                for place in range(3):
                    dC[x[row, place]] += demb[row, place]
            moves = zip((C, W1, b1, W2, b2, gain, bias), (dC, dW1, db1, dW2, db2, dgain, dbias), strict=True)
            for parameter, gradient in moves:
                parameter += -0.1 * gradient
    return time.perf_counter() - start


class Layer:
    """One of the lecture's layers: a call, and a list of parameters."""

    def __init__(self, call, parameters=()):
        self.call, self.parameters = call, list(parameters)


def tree_steps(X, Y, steps: int = SAMPLE) -> float:
    """Seconds for so many steps of the lecture's tree: 76,579 numbers, context 8, batches of 32."""
    torch.manual_seed(42)

    def embedding(count, width):
        weight = torch.randn(count, width)
        return Layer(lambda x: weight[x], [weight])

    def pairs():
        def call(x):
            batch, places, width = x.shape
            x = x.view(batch, places // 2, width * 2)
            return x.squeeze(1) if x.shape[1] == 1 else x

        return Layer(call)

    def linear(inputs, outputs, bias=True):
        weight, offset = torch.randn(inputs, outputs) / inputs**0.5, torch.zeros(outputs)
        return Layer(lambda x: x @ weight + offset if bias else x @ weight, [weight] + [offset] * bias)

    def norm(width):
        gain, bias = torch.ones(width), torch.zeros(width)
        running = {"mean": torch.zeros(width), "var": torch.ones(width)}

        def call(x):
            axes = (0,) if x.ndim == 2 else (0, 1)
            mean, var = x.mean(axes, keepdim=True), x.var(axes, keepdim=True)
            out = gain * ((x - mean) / torch.sqrt(var + 1e-5)) + bias
            with torch.no_grad():
                running["mean"] = 0.9 * running["mean"] + 0.1 * mean
                running["var"] = 0.9 * running["var"] + 0.1 * var
            return out

        return Layer(call, [gain, bias])

    layers, width = [embedding(27, 24)], 24
    for _ in range(3):
        layers += [pairs(), linear(2 * width, 128, bias=False), norm(128), Layer(torch.tanh)]
        width = 128
    layers.append(linear(128, 27))
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    with torch.no_grad():
        layers[-1].parameters[0].mul_(0.1)
    for parameter in parameters:
        parameter.requires_grad = True
    start = time.perf_counter()
    for _ in range(steps):
        rows = torch.randint(0, len(X), (32,))
        x = X[rows]
        for layer in layers:
            x = layer.call(x)
        loss = F.cross_entropy(x, Y[rows])
        for parameter in parameters:
            parameter.grad = None
        loss.backward()
        for parameter in parameters:
            parameter.data += -0.1 * parameter.grad
    return time.perf_counter() - start


def hand(names, seed):
    """Our network trained without autograd, and its loss on dev."""
    network = by_hand.trained(names.train, seed)
    X, Y = examples(names.dev, by_hand.CONTEXT, LETTERS)
    return lambda: F.cross_entropy(network(X), Y).item()


def read_by(reader):
    """How to train a reader of lesson 7: (names, seed) -> what measures its loss on dev."""

    def train(names, seed):
        model = readers.trained(reader, names.train, seed)
        return lambda: readers.loss_on(model, reader, names.dev)

    return train


WINDOWS = readers.READERS["tree, scaled up"]
WHOLE = readers.READERS["convolution"]._replace(
    batch=1024, peak=0.015, epochs=8
)  # the same network; fewer, larger steps
# What the lecture ends at, on its dev names; its context; its steps and our run.
RACES = {
    "by hand": (2.116, 3, by_hand_steps, hand),
    "the tree, window by window": (1.993, 8, tree_steps, read_by(WINDOWS)),
    "the tree, read whole": (1.993, 8, tree_steps, read_by(WHOLE)),
}


if __name__ == "__main__":
    setup()
    if not os.environ.get("LESSONS_DATA"):
        sys.exit("The lecture's recipe is timed on the lecture's names: name their folder in LESSONS_DATA.")
    parts = split(load_names("makemore"), distinct=False)
    results = {}
    for which, (target, context, steps, ours) in RACES.items():
        once = partial(steps, *examples(parts.train, context, LETTERS))
        results[which] = recipes.against(parts, target, once, SAMPLE, ours)
    print(json.dumps(results))
