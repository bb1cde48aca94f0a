"""Wrong answers to the exercises of lesson 5, each as a learner might write it, and what the check must say of it."""

import copy
import math

import torch
from torch import nn


def entropy(Y, log=torch.log):
    shares = torch.bincount(Y) / len(Y)
    shares = shares[shares > 0]
    return -(shares * log(shares)).sum().item()


def spread(std, gain, f=torch.tanh):
    z = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    return f(gain * std * z)


def normal(fan_in, fan_out, generator, factor):
    return torch.randn(fan_in, fan_out, generator=generator) * factor


def stack(depth, gain, first=None, last=0.1, width=200, norm=None, activation=nn.Tanh):
    generator = torch.Generator().manual_seed(0)

    def layer(fan_in, fan_out, gain):
        made = nn.Linear(fan_in, fan_out)
        with torch.no_grad():
            made.weight.copy_(torch.randn(fan_out, fan_in, generator=generator) * gain / fan_in**0.5)
            made.bias.zero_()
        return made

    letters = nn.Embedding(27, 10)
    with torch.no_grad():
        letters.weight.copy_(torch.randn(27, 10, generator=generator))
    norms = [norm(width)] if norm else []
    parts = [letters, nn.Flatten(), layer(30, width, first or gain), *norms, activation()]
    for _ in range(depth - 1):
        parts += [layer(width, width, gain), *copy.deepcopy(norms), activation()]
    return nn.Sequential(*parts, layer(width, 27, last))


def normed(x, gain, bias, variance, centred=None):
    centred = x - x.mean(0) if centred is None else centred
    return gain * centred / torch.sqrt(variance) + bias


def running(mean, var, x, new, unbiased=True, old=None):
    old = 1 - new if old is None else old
    return old * mean + new * x.mean(0), old * var + new * x.var(0, unbiased=unbiased)


def in_place(running_mean, running_var, x, momentum):
    running_mean *= 1 - momentum
    running_mean += momentum * x.mean(0)
    return running_mean, (1 - momentum) * running_var + momentum * x.var(0)


def folded(linear, norm, factor=None, scale_bias=True, old_bias=True, mean=1, across=False):
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps) if factor is None else factor
    bias = 0 if linear.bias is None or not old_bias else linear.bias
    made = nn.Linear(linear.in_features, linear.out_features, dtype=linear.weight.dtype)
    with torch.no_grad():
        try:
            made.weight.copy_(linear.weight * (factor if across else factor[:, None]))
        except RuntimeError:
            made.weight.copy_(linear.weight)
        shift = norm.bias - {0: 0, 1: norm.running_mean * factor, 2: norm.running_mean}[mean]
        made.bias.copy_(bias * (factor if scale_bias else 1) + shift)
    return made


def into_the_old_one(linear, norm):
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    with torch.no_grad():
        linear.weight *= factor[:, None]
        if linear.bias is not None:
            linear.bias.copy_((linear.bias - norm.running_mean) * factor + norm.bias)
    return linear


def length(gradients):
    return math.sqrt(sum((g**2).sum().item() for g in gradients))


WRONG = {
    "5.1": [
        (lambda: 0, "would never get a gradient"),
        (lambda: 1.0, "still"),
        (lambda: 0.2, "still"),
        (lambda: -0.01, "a scale is positive"),
        (lambda: "small", "a finite number"),
        (lambda: 1e-9, "next to nothing"),
    ],
    "5.2": [
        (lambda Y: math.log(27), "the loss of knowing nothing"),
        (lambda Y: entropy(Y, torch.log2), "in bits"),
        (lambda Y: -entropy(Y), "The sign"),
        (lambda Y: math.log(len(Y.unique())), "equally frequent"),
        (lambda Y: 0.0, "A loss of 0"),
        (
            lambda Y: -((torch.bincount(Y) / len(Y)) * (torch.bincount(Y) / len(Y)).log()).sum().item(),
            "0 times the log of 0",
        ),
        (lambda Y: -math.log(torch.bincount(Y).max().item() / len(Y)), "the commonest letter"),
    ],
    "5.3": [
        (lambda h: (h.abs() > 0.99).any(0), "One saturated example is enough"),
        (lambda h: h.abs() > 0.99, "the axis of the examples"),
        (lambda h: (h.abs() > 0.99).all(1), "the wrong axis"),
        (lambda h: (h > 0.99).all(0), "-1 is as flat"),
        (lambda h: h.mean(0).abs() > 0.99, "jumps between +1 and -1"),
        (lambda h: ~(h.abs() > 0.99).all(0), "the other way round"),
        (lambda h: (h.abs() > 0.99).all(0).float(), "float32"),
    ],
    "5.4": [
        (lambda i, o, gain, g: normal(i, o, g, (gain / i) ** 0.5), "The gain is under the root"),
        (lambda i, o, gain, g: normal(i, o, g, gain / o**0.5), "the fan-out"),
        (lambda i, o, gain, g: normal(i, o, g, gain / i), "its square root"),
        (lambda i, o, gain, g: normal(i, o, g, gain), "the fan-in is not"),
        (lambda i, o, gain, g: normal(o, i, g, gain / i**0.5), "the way nn.Linear keeps them"),
        (lambda i, o, gain, g: torch.randn(i, o) * gain / i**0.5, "does not follow the generator"),
        (
            lambda i, o, gain, g: (2 * torch.rand(i, o, generator=g) - 1) * gain / i**0.5,
            "a std of a / sqrt(3)",
        ),
        (
            lambda i, o, gain, g: (2 * torch.rand(i, o, generator=g) - 1) * gain * (3 / i) ** 0.5,
            "of normal numbers 4.6%",
        ),
        (lambda i, o, gain, g: torch.rand(i, o, generator=g) * gain * (12 / i) ** 0.5, "a mean of"),
    ],
    "5.5": [
        (lambda std, gain: math.tanh(gain * std), "tanh of the spread"),
        (lambda std, gain: spread(std, gain).var().item(), "the variance"),
        (lambda std, gain: spread(std, gain, lambda x: x).std().item(), "Without the tanh"),
        (lambda std, gain: spread(1.0, gain).std().item(), None),
        (lambda std, gain: spread(std, 1.0).std().item(), None),
        (lambda std, gain: spread(std, gain).std(), "Take the number out"),
        (lambda std, gain: spread(std, gain).abs().mean().item(), "absolute values"),
    ],
    "5.6": [
        (lambda depth: stack(depth, 5 / 3, first=0.7), "gradient"),
        (lambda depth: stack(depth, 1.0), None),
        (lambda depth: stack(depth, 3.0), None),
        (lambda depth: stack(depth, 1.27, first=0.7, last=5.0), "The last layer?"),
        (lambda depth: stack(depth, 1.27, norm=nn.BatchNorm1d), "without"),
        (lambda depth: stack(3, 1.27, first=0.7), "were expected"),
        (lambda depth: stack(depth, 1.4, activation=nn.ReLU), "contains no nn.Tanh"),
        (lambda depth: stack(depth, 1.27, first=0.7, width=16), "spreads are chance"),
        (lambda depth: [nn.Tanh()] * depth, "an nn.Module was expected"),
        (lambda depth: nn.Sequential(*[nn.Tanh()] * depth), "did not take a batch"),
    ],
    "5.7": [
        (lambda x, gain, bias, eps: normed(x, gain, bias, x.var(0) + eps), "n - 1"),
        (
            lambda x, gain, bias, eps: gain * (x - x.mean(0)) / (x.std(0, unbiased=False) + eps) + bias,
            "eps is in the wrong place",
        ),
        (lambda x, gain, bias, eps: normed(x, gain, bias, x.var(0, unbiased=False)), "eps is missing"),
        (
            lambda x, gain, bias, eps: gain * (x - x.mean(0)) / (x.var(0, unbiased=False) + eps) + bias,
            "by its root",
        ),
        (
            lambda x, gain, bias, eps: normed(x, 1, 0, x.var(0, unbiased=False) + eps),
            "The gain and the bias are missing",
        ),
        (
            lambda x, gain, bias, eps: normed(x, gain, bias, x.var(0, unbiased=False) + eps, centred=x),
            "The mean is not subtracted",
        ),
        (
            lambda x, gain, bias, eps: (
                gain
                * (x - x.mean(1, keepdim=True))
                / torch.sqrt(x.var(1, unbiased=False, keepdim=True) + eps)
                + bias
            ),
            "LayerNorm",
        ),
    ],
    "5.8": [
        (lambda mean, var, x, m: running(mean, var, x, 1 - m), "Old and new are swapped"),
        (lambda mean, var, x, m: running(mean, var, x, m, unbiased=False), "divides by n;"),
        (lambda mean, var, x, m: (x.mean(0), x.var(0)), "most of the old should stay"),
        (in_place, "changed its input"),
        (lambda mean, var, x, m: running(mean, var, x, m, old=1), "keeps all of its weight"),
        (
            lambda mean, var, x, m: (running(mean, var, x, m)[0], (1 - m) * var + m * x.std(0)),
            "That is the std",
        ),
        (lambda mean, var, x, m: running(mean, var, x, m)[0], "a pair was expected"),
    ],
    "5.9": [
        (lambda linear, norm: folded(linear, norm, across=True), "factor[:, None]"),
        (lambda linear, norm: folded(linear, norm, scale_bias=False), "The old bias is not scaled"),
        (lambda linear, norm: folded(linear, norm, old_bias=False), "The old bias is missing"),
        (lambda linear, norm: folded(linear, norm, mean=0), "The running mean is missing"),
        (lambda linear, norm: folded(linear, norm, mean=2), "The running mean is not scaled"),
        (
            lambda linear, norm: folded(linear, norm, norm.weight / norm.running_var.sqrt()),
            "eps is missing",
        ),
        (
            lambda linear, norm: folded(linear, norm, norm.weight / (norm.running_var + norm.eps)),
            "by its root",
        ),
        (
            lambda linear, norm: folded(linear, norm, 1 / torch.sqrt(norm.running_var + norm.eps)),
            "The gain of the norm is missing",
        ),
        (into_the_old_one, "changed the weight"),
        (lambda linear, norm: nn.Sequential(linear, norm), "an nn.Linear was expected"),
    ],
    "5.10": [
        (lambda gs, limit: [g * min(1.0, limit / g.norm().item()) for g in gs], "clipped on its own"),
        (lambda gs, limit: [g.clamp(-limit, limit) for g in gs], "the direction has changed"),
        (lambda gs, limit: [g * limit / length(gs) for g in gs], "yours was stretched"),
        (lambda gs, limit: [g * min(1.0, limit / length(gs) ** 2) for g in gs], "the length is its root"),
        (lambda gs, limit: gs, "nothing was done"),
        (
            lambda gs, limit: [g * (limit / torch.tensor(length(gs))).clamp(max=1) * 0 / 0 for g in gs],
            None,
        ),
        (lambda gs, limit: torch.cat(gs), "a list of"),
    ],
}
