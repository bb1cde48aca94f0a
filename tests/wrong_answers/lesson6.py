"""Wrong answers to the exercises of lesson 6, each as a learner might write it, and what the check must say of it.

Every exercise gets three on top of its own: zeros, a value of the forward pass with the right shape, and the right gradient of another
problem. None of these may pass for a gradient.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.by_hand import EPS


def each(thing, f):
    return tuple(map(f, thing)) if isinstance(thing, tuple) else f(thing)


def of_another_problem(x):
    """Another tensor of the same shape and kind; whole numbers stay whole."""
    if not isinstance(x, torch.Tensor):
        return x
    return 1.5 * x.flip(0) if x.is_floating_point() else x.flip(0)


def never(right, copy, copied="as it was handed over", zeros="All of it is 0"):
    """The three answers that no exercise may take. right: the true gradient. copy: a value of the same shape at hand."""
    return [
        (lambda *inputs: each(right(*inputs), torch.zeros_like), zeros),
        (copy, copied),
        (lambda *inputs: right(*map(of_another_problem, inputs)), "autograd has"),
    ]


def at_labels(logp, Y, value):
    out = torch.zeros_like(logp)
    out[range(len(Y)), Y] = value
    return out


def by_autograd(f, incoming, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x), x, incoming)[0]


def safe_exp(logits):
    return (logits - logits.max(1, keepdim=True).values).exp()


def routed(dsafe, logits, dtop):
    return dsafe + F.one_hot(logits.argmax(1), logits.shape[1]) * dtop


def columns_of_all_rows(dcounts, counts, logits):
    ds = dcounts * counts
    ds[:, logits.argmax(1)] -= ds.sum(1)
    return ds


def power(dnorm, off, var, exponent=-1.5, eps=EPS, factor=-0.5):
    return factor * (var + eps) ** exponent * (dnorm * off).sum(0, keepdim=True)


def first(dpre, emb, W1):
    return emb.flatten(1).T @ dpre, dpre.sum(0), (dpre @ W1.T).view_as(emb)


def table(demb, X, rows, accumulate=True):
    dC = torch.zeros(rows, demb.shape[-1], dtype=demb.dtype)
    return dC.index_put_((X,), demb, accumulate=accumulate)


def added_in_place(demb, X, rows):
    dC = torch.zeros(rows, demb.shape[-1], dtype=demb.dtype)
    dC[X] += demb
    return dC


def added_place_by_place(demb, X, rows):
    dC = torch.zeros(rows, demb.shape[-1], dtype=demb.dtype)
    for place in range(3):
        dC[X[:, place]] += demb[:, place]
    return dC


def belief_minus_truth(logits, Y, axis=1):
    return logits.softmax(axis) - F.one_hot(Y, logits.shape[1])


def norm_back(g, norm, inv, n, axis=0):
    means = g.sum(axis, keepdim=True) / g.shape[axis], (g * norm).sum(axis, keepdim=True) / n
    return inv * (g - means[0] - norm * means[1])


def moved(x, place, h):
    x = x.clone()
    x[place] += h
    return x


def central(f, x, place, h=1e-6):
    return float(f(moved(x, place, h)) - f(moved(x, place, -h))) / (2 * h)


def kept_as_a_view(f, x, place, h=1e-6):
    old = x[place]  # no copy: it moves along
    x[place] += h
    right = float(f(x))
    x[place] = old - h
    left = float(f(x))
    x[place] = old
    return (right - left) / (2 * h)


def not_put_back(f, x, place, h=1e-6):
    x[place] += h
    right = f(x)
    x[place] -= 2 * h
    return float(right - f(x)) / (2 * h)


def put_back_by_adding(f, x, place, h=1e-6):
    slope = not_put_back(f, x, place, h)
    x[place] += h / 3
    x[place] += h / 3
    x[place] += h / 3
    return slope


def counted(X, Y, columns=True):
    """Log-probabilities from counts: after the last letter, or of each letter whatever stands before it."""
    counts = torch.ones(27, 27)
    counts.index_put_((X[:, 2], Y), torch.ones(len(Y)), accumulate=True)
    counts = counts if columns else counts.sum(0).expand(27, 27)
    logp = (counts / counts.sum(1, keepdim=True)).log()
    return lambda contexts: logp[contexts[:, 2]]


def with_autograd(X, Y):
    W = torch.zeros(27, 27, requires_grad=True)
    F.cross_entropy(W[X[:, 2]], Y).backward()
    W = (W - 10 * W.grad).detach()
    return lambda contexts: W[contexts[:, 2]]


def in_company(X, Y):
    """A network that takes mean and variance from whoever is asked about with it."""
    W = torch.randn(27, 27, generator=torch.Generator().manual_seed(0))

    def network(contexts):
        pre = W[contexts[:, 2]]
        return (pre - pre.mean(0)) / (pre.var(0, unbiased=False) + EPS) ** 0.5

    return network


WRONG = {
    "6.1": [
        *never(lambda logp, Y: at_labels(logp, Y, -1 / len(Y)), lambda logp, Y: logp.clone()),
        (lambda logp, Y: at_labels(logp, Y, 1 / len(Y)), "The sign"),
        (lambda logp, Y: at_labels(logp, Y, -1.0), "1/n of the mean is missing"),
        (lambda logp, Y: at_labels(logp, Y, -1 / logp.numel()), "not over all n * 27"),
        (lambda logp, Y: torch.full_like(logp, -1 / len(Y)), "Every entry has it"),
        (lambda logp, Y: -F.one_hot(Y, 27) / len(Y), "zeros_like"),
        (lambda logp, Y: -F.one_hot(Y).double() / len(Y), "one number for each of its numbers"),
        (lambda logp, Y: at_labels(logp, Y, -1 / 32), "n = len(Y)"),
        (lambda logp, Y: torch.zeros(32, 27), "sizes of the lesson's own tensors"),
    ],
    "6.2": [
        *never(lambda dlogp, probs: dlogp / probs, lambda dlogp, probs: probs.clone()),
        (lambda dlogp, probs: 1 / probs, "what comes back, dlogp, is not in it"),
        (lambda dlogp, probs: dlogp * probs, "Multiplied by probs"),
        (lambda dlogp, probs: -dlogp / probs, "The sign"),
        (lambda dlogp, probs: dlogp * 2 / probs, "Every number is 2 times"),
        (lambda dlogp, probs: dlogp * probs.log(), "the slope is 1/p"),
    ],
    "6.3": [
        *never(
            lambda dprobs, counts: (dprobs * counts).sum(1, keepdim=True),
            lambda dprobs, counts: 1 / counts.sum(1, keepdim=True),
            "That is share itself",
        ),
        (lambda dprobs, counts: dprobs * counts, "The sum is missing"),
        (lambda dprobs, counts: (dprobs * counts).mean(1, keepdim=True), "A mean"),
        (lambda dprobs, counts: (dprobs * counts).sum(0, keepdim=True), "the other axis"),
        (lambda dprobs, counts: (dprobs * counts).sum(1), "only dimensions of size 1 differ"),
        (lambda dprobs, counts: (dprobs * counts).sum(), "Everything was summed"),
        (lambda dprobs, counts: dprobs.sum(1, keepdim=True), "counts is not in it"),
    ],
    "6.4": [
        *never(
            lambda dprobs, dshare, counts, share: dprobs * share - dshare * share**2,
            lambda dprobs, dshare, counts, share: counts.clone(),
        ),
        (lambda dprobs, dshare, counts, share: dprobs * share, "The second use is forgotten"),
        (lambda dprobs, dshare, counts, share: -dshare * share**2, "That is dtotal"),
        (lambda dprobs, dshare, counts, share: dprobs * share + dshare * share**2, "A sign"),
        (lambda dprobs, dshare, counts, share: dprobs * share - dshare * share, "share is squared"),
        (lambda dprobs, dshare, counts, share: dprobs * share + dshare, "has to pass through share"),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - (dshare * share**2).sum(),
            "each row has its own total",
        ),
        (lambda dprobs, dshare, counts, share: dprobs * share - dshare / share**2, "Divided by share**2"),
        (
            lambda dprobs, dshare, counts, share: (-dshare * share**2).expand_as(counts),
            "Only the way through the total",
        ),
    ],
    "6.5": [
        *never(
            lambda dcounts, counts, logits: by_autograd(safe_exp, dcounts, logits),
            lambda dcounts, counts, logits: logits.clone(),
        ),
        (lambda dcounts, counts, logits: dcounts * counts, "The maximum's share is forgotten"),
        (
            lambda dcounts, counts, logits: dcounts * counts - (dcounts * counts).sum(1, keepdim=True),
            "went to every column",
        ),
        (
            lambda dcounts, counts, logits: routed(
                dcounts * counts, logits, (dcounts * counts).sum(1, keepdim=True)
            ),
            "A sign",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, logits, -dcounts.sum(1, keepdim=True)),
            "The slope of exp is missing",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts * counts, logits, -dcounts.sum(1, keepdim=True)),
            "yours sums dcounts",
        ),
        (columns_of_all_rows, "these columns in every row"),
        (
            lambda dcounts, counts, logits: by_autograd(torch.exp, dcounts, logits),
            "exp(logits) in place of counts",
        ),
    ],
    "6.6": [
        *never(
            lambda dlogits, h, W2: (dlogits @ W2.T, h.T @ dlogits, dlogits.sum(0)),
            lambda dlogits, h, W2: (h.clone(), W2.clone(), W2[0].clone()),
        ),
        (
            lambda dlogits, h, W2: (dlogits @ W2, h.T @ dlogits, dlogits.sum(0)),
            "W2 has to be transposed",
        ),
        (
            lambda dlogits, h, W2: (dlogits @ W2.T, dlogits.T @ h, dlogits.sum(0)),
            "That is dW2 transposed",
        ),
        (lambda dlogits, h, W2: (dlogits @ W2.T, h.T @ dlogits, dlogits.mean(0)), "A mean"),
        (lambda dlogits, h, W2: (dlogits @ W2.T, h.T @ dlogits, dlogits), "The sum is missing"),
        (lambda dlogits, h, W2: (dlogits @ W2.T, h.T @ dlogits, dlogits.sum(1)), "the other axis"),
        (lambda dlogits, h, W2: (h.T @ dlogits, dlogits @ W2.T, dlogits.sum(0)), "in place 2"),
        (lambda dlogits, h, W2: dlogits @ W2.T, "a tuple of 3"),
        (
            lambda dlogits, h, W2: (dlogits @ W2.T / len(h), h.T @ dlogits, dlogits.sum(0)),
            "Divided by n once more",
        ),
    ],
    "6.7": [
        *never(lambda dh, h: dh * (1 - h**2), lambda dh, h: h.clone()),
        (lambda dh, h: dh * (1 - h), "The square is missing"),
        (lambda dh, h: dh * (1 - h.tanh() ** 2), "tanh twice"),
        (lambda dh, h: dh * h * (1 - h), "sigmoid"),
        (lambda dh, h: 1 - h**2, "dh, is not in it"),
        (lambda dh, h: dh * (1 - h) ** 2, "The square belongs to h alone"),
        (lambda dh, h: dh.float() * (1 - h.float() ** 2), "float32"),
    ],
    "6.8": [
        *never(
            lambda dact, gain, norm: ((dact * norm).sum(0), dact.sum(0), dact * gain),
            lambda dact, gain, norm: (gain.clone(), gain.clone(), norm.clone()),
        ),
        (lambda dact, gain, norm: (dact * norm, dact.sum(0), dact * gain), "The sum is missing"),
        (lambda dact, gain, norm: ((dact * norm).mean(0), dact.sum(0), dact * gain), "A mean"),
        (lambda dact, gain, norm: (dact.sum(0), (dact * norm).sum(0), dact * gain), "in place 2"),
        (lambda dact, gain, norm: ((dact * norm).sum(0), dact, dact * gain), "The sum is missing"),
        (lambda dact, gain, norm: ((dact * norm).sum(0), dact.sum(0), dact), "The gain is not in it"),
        (
            lambda dact, gain, norm: (
                (dact * norm).sum(0, keepdim=True),
                dact.sum(0, keepdim=True),
                dact * gain,
            ),
            "only dimensions of size 1 differ",
        ),
    ],
    "6.9": [
        *never(power, lambda dnorm, off, var: var.clone()),
        (lambda dnorm, off, var: -0.5 * (var + EPS) ** -1.5 * dnorm * off, "The sum is missing"),
        (lambda dnorm, off, var: power(dnorm, off, var, factor=0.5), "A sign"),
        (lambda dnorm, off, var: power(dnorm, off, var, exponent=-0.5), "The exponent"),
        (lambda dnorm, off, var: power(dnorm, off, var, eps=0), "EPS is forgotten"),
        (lambda dnorm, off, var: power(dnorm, off, var, factor=1, exponent=0), "That is dinv"),
        (lambda dnorm, off, var: power(dnorm, off, var) / len(off), "A mean"),
        (lambda dnorm, off, var: -0.5 * (var + EPS) ** -1.5 * dnorm.sum(0) * off.sum(0), "Multiply first"),
    ],
    "6.10": [
        *never(
            lambda dvar, off2: (dvar / (len(off2) - 1)).expand_as(off2),
            lambda dvar, off2: off2.clone(),
        ),
        (lambda dvar, off2: (dvar / len(off2)).expand_as(off2), "Divided by n;"),
        (lambda dvar, off2: dvar / (len(off2) - 1), "one row of them"),
        (lambda dvar, off2: dvar.expand_as(off2), "The division is missing"),
        (lambda dvar, off2: dvar * off2 / (len(off2) - 1), "yours multiplies by off2"),
        (lambda dvar, off2: (dvar / 31).expand_as(off2), "n = len(off2)"),
        (lambda dvar, off2: (dvar / 31).expand(32, 64), "must match"),
    ],
    "6.11": [
        *never(
            lambda dnorm, inv, doff2, off: dnorm * inv + 2 * off * doff2,
            lambda dnorm, inv, doff2, off: off.clone(),
        ),
        (lambda dnorm, inv, doff2, off: dnorm * inv, "The second use is forgotten"),
        (lambda dnorm, inv, doff2, off: 2 * off * doff2, "The first use is forgotten"),
        (lambda dnorm, inv, doff2, off: dnorm * inv + off * doff2, "The 2 of the square"),
        (lambda dnorm, inv, doff2, off: dnorm * inv * 2 * off * doff2, "they are added"),
        (lambda dnorm, inv, doff2, off: dnorm * inv + 2 * doff2, "off, is missing"),
    ],
    "6.12": [
        *never(lambda doff: doff - doff.mean(0), lambda doff: doff.clone(), "The second use is forgotten"),
        (lambda doff: doff + doff.mean(0), "A sign"),
        (lambda doff: doff - doff.sum(0), "The 1/n of the mean is missing"),
        (lambda doff: doff - doff.mean(1, keepdim=True), "The mean over the other axis"),
        (lambda doff: -doff.sum(0, keepdim=True), "That is dmean"),
        (lambda doff: doff - doff.mean(), "One mean for everything"),
    ],
    "6.13": [
        *never(first, lambda dpre, emb, W1: (W1.clone(), W1[0].clone(), emb.clone())),
        (lambda dpre, emb, W1: (dpre.T @ emb.flatten(1), *first(dpre, emb, W1)[1:]), "dW1 transposed"),
        (
            lambda dpre, emb, W1: (
                *first(dpre, emb, W1)[:2],
                (dpre @ W1.T).view(len(emb), emb.shape[2], -1).transpose(1, 2),
            ),
            "The view is undone in another order",
        ),
        (
            lambda dpre, emb, W1: (*first(dpre, emb, W1)[:2], dpre @ W1.T),
            "they still have to go back through the view",
        ),
        (
            lambda dpre, emb, W1: (
                first(dpre, emb, W1)[0],
                torch.zeros_like(dpre[0]),
                first(dpre, emb, W1)[2],
            ),
            "here dpre is any tensor",
        ),
        (
            lambda dpre, emb, W1: (first(dpre, emb, W1)[0], dpre.mean(0), first(dpre, emb, W1)[2]),
            "A mean",
        ),
        (
            lambda dpre, emb, W1: (*first(dpre, emb, W1)[:2], (dpre @ W1).view_as(emb)),
            "W1 has to be transposed",
        ),
    ],
    "6.14": [
        *never(
            table,
            lambda demb, X, rows: demb.flatten(0, 1)[torch.arange(rows) % X.numel()],
            "autograd has",
        ),
        (lambda demb, X, rows: table(demb, X, rows, accumulate=False), "Repeats are overwritten"),
        (added_in_place, "dC[X] += demb, which reads all rows first"),
        (added_place_by_place, "One += for each place"),
        (
            lambda demb, X, rows: table(demb, X, rows) / torch.bincount(X.flatten()).max(),
            "Every number is",
        ),
        (
            lambda demb, X, rows: (
                table(demb, X, rows) / torch.bincount(X.flatten(), minlength=rows).clamp(min=1)[:, None]
            ),
            "A mean",
        ),
        (lambda demb, X, rows: table(demb, X, int(X.max()) + 1), "guessed from the largest"),
        (
            lambda demb, X, rows: table(demb.transpose(0, 1).reshape(demb.shape), X, rows),
            "lined up in different orders",
        ),
        (lambda demb, X, rows: table(demb.sum(1), X[:, 0], rows), "went to the first letter"),
        (lambda demb, X, rows: torch.zeros(rows, demb.shape[2]).index_add_(0, X[:, 0], demb[:, 0]), "dtype"),
    ],
    "6.15": [
        *never(lambda logits, Y: belief_minus_truth(logits, Y) / len(Y), lambda logits, Y: logits.clone()),
        (belief_minus_truth, "The 1/n of the mean is missing"),
        (lambda logits, Y: logits.softmax(1) / len(Y), "Nothing was subtracted"),
        (lambda logits, Y: -belief_minus_truth(logits, Y) / len(Y), "The sign"),
        (lambda logits, Y: belief_minus_truth(logits, Y, axis=0) / len(Y), "the wrong axis"),
        (
            lambda logits, Y: (logits.exp() / logits.exp().sum(1, keepdim=True) - F.one_hot(Y, 27)) / len(Y),
            "exp(1000) is inf",
        ),
        (lambda logits, Y: logits.softmax(1) - F.one_hot(Y, 27) / len(Y), "Only the 1 at the label"),
    ],
    "6.16": [
        *never(
            lambda dact, gain, norm, inv: norm_back(gain * dact, norm, inv, len(dact) - 1),
            lambda dact, gain, norm, inv: norm.clone(),
        ),
        (
            lambda dact, gain, norm, inv: norm_back(gain * dact, norm, inv, len(dact)),
            "The last term divides by n, as PyTorch's does",
        ),
        (lambda dact, gain, norm, inv: gain * inv * dact, "taken as fixed"),
        (
            lambda dact, gain, norm, inv: gain * inv * (dact - dact.mean(0)),
            "The way through the variance is missing",
        ),
        (
            lambda dact, gain, norm, inv: gain * inv * (dact - norm * (dact * norm).sum(0) / (len(dact) - 1)),
            "The way through the mean is missing",
        ),
        (
            lambda dact, gain, norm, inv: norm_back(dact, norm, inv, len(dact) - 1),
            "The gain is forgotten",
        ),
        (
            lambda dact, gain, norm, inv: norm_back(gain * gain * dact, norm, inv, len(dact) - 1),
            "The gain is in it twice",
        ),
        (
            lambda dact, gain, norm, inv: norm_back(gain * dact, norm, 1, len(dact) - 1),
            "inv is forgotten",
        ),
        (
            lambda dact, gain, norm, inv: norm_back(gain * dact, norm, inv, dact.shape[1] - 1, axis=1),
            "autograd has",
        ),
    ],
    "6.17": [
        (lambda f, x, place, h=1e-6: 0.0, "Did x[place] move at all?"),
        (lambda f, x, place, h=1e-6: float(f(x)), "was expected"),
        (lambda f, x, place, h=1e-6: central(f, x + 1, place, h), "was expected"),
        (lambda f, x, place, h=1e-6: float(f(moved(x, place, h)) - f(x)) / h, "forward difference"),
        (lambda f, x, place, h=1e-6: 2 * central(f, x, place, h), "divide by that"),
        (lambda f, x, place, h=1e-6: central(f, x, place, h / 2), "h / 2 to each side"),
        (kept_as_a_view, "is a view"),
        (not_put_back, "changed its input"),
        (put_back_by_adding, "a rounding error away"),
        (lambda f, x, place, h=1e-6: central(f, x, place), "the h of the call counts"),
        (lambda f, x, place, h=1e-6: central(f, x.float(), place, h), "Stay in float64"),
        (lambda f, x, place, h=1e-6: float(f(x + h) - f(x - h)) / (2 * h), "All of x was moved"),
        (lambda f, x, place, h=1e-6: float(f(x[place] + h) - f(x[place] - h)) / (2 * h), "f takes all of x"),
        (lambda f, x, place, h=1e-6: central(f, x, list(place), h), "A whole row was moved"),
        (lambda f, x, place, h=1e-6: by_autograd(f, None, x)[place].item(), "does not require grad"),
    ],
    "6.18": [
        (lambda X, Y: lambda contexts: torch.zeros(len(contexts), 27), "Knowing nothing costs"),
        (lambda X, Y: counted(X, Y, columns=False), "letter frequencies"),
        (counted, "Train for longer"),
        (with_autograd, "requires a gradient"),
        (lambda X, Y: nn.Sequential(nn.Embedding(27, 9), nn.Flatten(), nn.Linear(27, 27)), "gradient"),
        (lambda X, Y: lambda contexts: torch.full((len(contexts), 27), 1 / 27), "probabilities"),
        (in_company, "alone"),
        (lambda X, Y: torch.zeros(27, 27), "a function from contexts to logits"),
        (lambda X, Y: lambda contexts: torch.zeros(len(contexts), 3, 27), "logits of shape (5, 27)"),
        (lambda X, Y: lambda contexts: torch.full((len(contexts), 27), math.nan), "nan"),
    ],
    "6.19": [
        *never(
            lambda dout, gain, norm, inv: norm_back(dout * gain, norm, inv, dout.shape[1], axis=1),
            lambda dout, gain, norm, inv: norm.clone(),
        ),
        (
            lambda dout, gain, norm, inv: gain * norm_back(dout, norm, inv, dout.shape[1], axis=1),
            "The gain stands outside",
        ),
        (
            lambda dout, gain, norm, inv: norm_back(dout * gain, norm, inv, dout.shape[1] - 1, axis=1),
            "this variance was divided by H",
        ),
        (
            lambda dout, gain, norm, inv: norm_back(dout * gain, norm, inv, len(dout)),
            "The means are over the examples",
        ),
        (
            lambda dout, gain, norm, inv: gain * norm_back(dout, norm, inv, len(dout) - 1),
            "BatchNorm's line as it stands",
        ),
        (lambda dout, gain, norm, inv: dout * gain * inv, "taken as fixed"),
        (
            lambda dout, gain, norm, inv: norm_back(dout, norm, inv, dout.shape[1], axis=1),
            "The gain is forgotten",
        ),
    ],
}
