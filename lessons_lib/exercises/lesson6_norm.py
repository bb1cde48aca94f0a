"""The checks of lesson 6 on the way back through BatchNorm, 6.8 to 6.12."""

import torch
from torch import Tensor

from lessons_lib.by_hand import EPS
from lessons_lib.exercises.lesson6_ruler import Mistakes, draw, judged, normalised, pulled_back

SIZES = (
    (3, 3),
    (4, 3),
    (5, 7),
    (27, 27),
)  # (n, H): the first two can be read; in a square a transposed tensor fits


def d_gain_bias_norm(answer):
    """6.8: d_gain_bias_norm(dact, gain, norm), through act = gain * norm + bias."""
    for seed, (n, hidden) in enumerate(SIZES):
        norm = normalised(draw(seed, n, hidden))["norm"]
        gain, bias = 1 + 0.5 * draw(seed + 10, hidden), draw(seed + 20, hidden)
        dact = draw(seed + 30, n, hidden)
        true = pulled_back(lambda g, b, x: g * x + b, dact, gain, bias, norm)
        inputs = {"dact": dact, "gain": gain, "norm": norm}
        judged(answer, inputs, dict(zip(("dgain", "dbias", "dnorm"), true, strict=True)), MISTAKES["6.8"])
    return "The two that were copied into n rows are sums now; the one that was not keeps its rows."


def d_var(answer):
    """6.9: d_var(dnorm, off, var), through norm = off * (var + EPS)**-0.5 with off held fixed."""
    for seed, (n, hidden, spread) in enumerate(
        ((3, 3, 1.0), (4, 3, 1.0), (5, 7, 2.0), (27, 27, 1.0), (6, 4, 0.003))
    ):
        parts = normalised(spread * draw(seed, n, hidden))
        off, var, dnorm = parts["off"], parts["var"], draw(seed + 10, n, hidden)
        truth = pulled_back(lambda v, off=off: off * (v + EPS) ** -0.5, dnorm, var)
        judged(answer, {"dnorm": dnorm, "off": off, "var": var}, truth, MISTAKES["6.9"])
    return "A power like any other: the exponent comes down and is one less. And the column that was copied is summed."


def d_off2(answer):
    """6.10: d_off2(dvar, off2), through var = off2.sum(0, keepdim=True) / (n - 1)."""
    for seed, (n, hidden) in enumerate(SIZES):
        off2, dvar = normalised(draw(seed, n, hidden))["off"] ** 2, draw(seed + 10, 1, hidden)
        truth = pulled_back(lambda x: x.sum(0, keepdim=True) / (len(x) - 1), dvar, off2)
        judged(answer, {"dvar": dvar, "off2": off2}, truth, MISTAKES["6.10"])
    return "The mirror of broadcasting: summed on the way forward, copied on the way back."


def d_off(answer):
    """6.11: d_off(dnorm, inv, doff2, off): off is used in norm = off * inv and in off2 = off**2."""
    for seed, (n, hidden) in enumerate(SIZES):
        parts = normalised(draw(seed, n, hidden))
        off, inv, dnorm = parts["off"], parts["inv"], draw(seed + 10, n, hidden)
        doff2 = draw(seed + 20, 1, hidden).expand(n, hidden).clone()
        truth = dnorm * inv + pulled_back(torch.square, doff2, off)
        inputs = {"dnorm": dnorm, "inv": inv, "doff2": doff2, "off": off}
        judged(answer, inputs, truth, MISTAKES["6.11"])
    return "Used twice, so added: the += of lesson 1's engine, for a whole tensor at once."


def d_pre(answer):
    """6.12: d_pre(doff), through off = pre - pre.mean(0, keepdim=True)."""
    for seed, (n, hidden) in enumerate(SIZES):
        doff = draw(seed, n, hidden)
        truth = pulled_back(lambda x: x - x.mean(0, keepdim=True), doff, draw(seed + 10, n, hidden))
        judged(answer, {"doff": doff}, truth, MISTAKES["6.12"])
    return (
        "What comes out sums to 0 down each column: a push on all examples alike is what the mean takes away."
    )


def power(dnorm: Tensor, off: Tensor, var: Tensor, factor=-0.5, exponent=-1.5, eps=EPS) -> Tensor:
    """d_var with another factor, exponent or eps."""
    return factor * (var + eps) ** exponent * (dnorm * off).sum(0, keepdim=True)


def spread_out(dvar: Tensor, off2: Tensor, by: float) -> Tensor:
    return (dvar / by).expand_as(off2)


MISTAKES: dict[str, Mistakes | dict[str, Mistakes]] = {
    "6.8": {
        "dgain": [
            (
                lambda dact, gain, norm: dact * norm,
                "The sum is missing: one gain was copied into n rows, and what comes back to all n is added.",
            ),
            (
                lambda dact, gain, norm: (dact * norm).mean(0),
                "A mean; the gain was copied into n rows, and the n gradients are added.",
            ),
            (
                lambda dact, gain, norm: (dact * norm).sum(1),
                "Summed over the other axis: the gain was copied into the rows, so the sum is over 0.",
            ),
            (
                lambda dact, gain, norm: dact.sum(0),
                "norm is not in it: it is what the gain was multiplied by.",
            ),
            (lambda dact, gain, norm: norm.sum(0), "dact, what comes back, is not in it."),
            (
                lambda dact, gain, norm: (dact * gain).sum(0),
                "Multiplied by the gain itself; the slope of gain * norm by the gain is norm.",
            ),
            (
                lambda dact, gain, norm: dact.sum(0) * norm.sum(0),
                "The product of two sums; multiply first, entry by entry, and then sum.",
            ),
            (
                lambda dact, gain, norm: (dact * norm).sum(),
                "Everything was summed; there is one gain a unit.",
            ),
            (
                lambda dact, gain, norm: (dact * gain * norm).sum(0),
                "The gain is a factor too many: the slope by the gain is norm alone.",
            ),
        ],
        "dbias": [
            (
                lambda dact, gain, norm: dact + 0,
                "The sum is missing: one bias was copied into n rows, and what comes back to all n is added.",
            ),
            (
                lambda dact, gain, norm: dact.mean(0),
                "A mean; the bias was copied into n rows, and the n gradients are added.",
            ),
            (
                lambda dact, gain, norm: dact.sum(1),
                "Summed over the other axis: the bias was copied into the rows, so the sum is over 0.",
            ),
            (
                lambda dact, gain, norm: (dact * gain).sum(0),
                "The gain is not in it: the bias is added after the gain.",
            ),
            (
                lambda dact, gain, norm: (dact * norm).sum(0),
                "norm is not in it: the bias is added, so its slope is 1. (That is dgain.)",
            ),
            (lambda dact, gain, norm: dact.sum(), "Everything was summed; there is one bias a unit."),
        ],
        "dnorm": [
            (lambda dact, gain, norm: dact + 0, "The gain is not in it: it is what norm was multiplied by."),
            (
                lambda dact, gain, norm: dact * norm,
                "Multiplied by norm itself; the slope of gain * norm by norm is the gain.",
            ),
            (
                lambda dact, gain, norm: dact * gain[:, None],
                "The gain belongs to the columns, and broadcasts over the rows by itself; yours runs down the rows.",
            ),
            (
                lambda dact, gain, norm: (dact * gain).sum(0),
                "Summed, but norm was not copied on the way forward: it has its own n rows.",
            ),
            (lambda dact, gain, norm: dact / gain, "Divided by the gain; norm was multiplied by it."),
            (
                lambda dact, gain, norm: gain.expand_as(dact),
                "That is the slope alone; what comes back, dact, is not in it.",
            ),
        ],
    },
    "6.9": [
        (
            lambda dnorm, off, var: -0.5 * (var + EPS) ** -1.5 * dnorm * off,
            "The sum is missing: one variance was copied into n rows, and what comes back to all n is added.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var) / len(off),
            "A mean; the variance was copied into n rows, and the n gradients are added.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var) / (len(off) - 1),
            "Divided by n - 1; that belongs to the next step back. Here the copies are added.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=0.5),
            "A sign: the exponent -0.5 comes down with its minus. More variance makes norm smaller.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, exponent=-0.5),
            "The exponent: the slope of x**-0.5 is -0.5 * x**-1.5, one less.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, exponent=0.5),
            "The exponent: one less than -0.5 is -1.5.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=1, exponent=-0.5),
            "That is dinv times inv; the slope of x**-0.5 is -0.5 * x**-1.5.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=1),
            "The factor is missing: the exponent -0.5 comes down.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=-1),
            "The factor is -0.5, the exponent, not -1.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=-1.5),
            "The exponent that comes down is the old one, -0.5.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=1, exponent=0),
            "That is dinv, on half of the way: it still has to pass the power, whose slope is -0.5 * (var + EPS)**-1.5.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, eps=0),
            "EPS is forgotten: it was added to the variance before the power. A variance near 1 hardly shows it; one as small as EPS does.",
        ),
        (
            lambda dnorm, off, var: -0.5 * (var**-1.5 + EPS) * (dnorm * off).sum(0, keepdim=True),
            "EPS is in the wrong place: it is added to the variance, before the power.",
        ),
        (
            lambda dnorm, off, var: power(dnorm, off, var, factor=-0.5, exponent=-2),
            "That multiplies by norm, which has inv in it already; what inv was multiplied by is off.",
        ),
        (
            lambda dnorm, off, var: -0.5 * (var + EPS) ** -1.5 * dnorm.sum(0, keepdim=True),
            "off is not in it: it is what inv was multiplied by.",
        ),
        (
            lambda dnorm, off, var: (-0.5 * (var + EPS) ** -1.5).clone(),
            "That is the slope of the power alone; what comes back is not in it.",
        ),
        (
            lambda dnorm, off, var: -0.5 * (var + EPS) ** -1.5 * (dnorm * off).sum(1, keepdim=True),
            "Summed over the other axis: the variance was copied into the rows, so the sum is over 0.",
        ),
        (
            lambda dnorm, off, var: -0.5 * (var + EPS) ** -1.5 * (dnorm * off).sum(1),
            "Summed over the other axis: the variance was copied into the rows, so the sum is over 0.",
        ),
    ],
    "6.10": [
        (
            lambda dvar, off2: spread_out(dvar, off2, len(off2)),
            "Divided by n; this variance was divided by n - 1.",
        ),
        (
            lambda dvar, off2: dvar / (len(off2) - 1),
            "The numbers are right, one row of them; a sum gives each of its n terms the whole, so there are n rows.",
        ),
        (
            lambda dvar, off2: dvar / len(off2),
            "Two things: the division is by n - 1, and a sum gives each of its n terms the whole, so there are n rows.",
        ),
        (
            lambda dvar, off2: spread_out(dvar, off2, 1),
            "The division is missing: var is the sum divided by n - 1.",
        ),
        (lambda dvar, off2: dvar + 0, "The division by n - 1 is missing, and so are the n rows."),
        (
            lambda dvar, off2: off2 * dvar / (len(off2) - 1),
            "The slope of a sum is 1 for each of its terms; yours multiplies by off2.",
        ),
        (
            lambda dvar, off2: 2 * off2.sqrt() * dvar / (len(off2) - 1),
            "Too far: that passes the square, which is the next exercise.",
        ),
        (
            lambda dvar, off2: spread_out(dvar, off2, off2.shape[1] - 1),
            "Divided by the number of units less one; n is the number of examples.",
        ),
        (
            lambda dvar, off2: spread_out(dvar, off2, 31),
            "Your n is 32, whatever the batch: take it from what is handed over, n = len(off2).",
        ),
        (
            lambda dvar, off2: spread_out(dvar, off2, len(off2) * (len(off2) - 1)),
            "Divided by n as well: a sum does not share its gradient out, each term gets the whole.",
        ),
        (
            lambda dvar, off2: spread_out(dvar, off2, 1 / (len(off2) - 1)),
            "Multiplied by n - 1; it is divided.",
        ),
        (
            lambda dvar, off2: dvar.T.expand_as(off2) / (len(off2) - 1),
            "Copied along the other axis: each unit's number goes down its column.",
        ),
    ],
    "6.11": [
        (
            lambda dnorm, inv, doff2, off: dnorm * inv,
            "The second use is forgotten: off was squared for the variance, too.",
        ),
        (
            lambda dnorm, inv, doff2, off: 2 * off * doff2,
            "The first use is forgotten: off was multiplied by inv to give norm.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv + off * doff2,
            "The 2 of the square is forgotten: the slope of x**2 is 2 * x.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv + 2 * doff2,
            "The slope of x**2 is 2 * x; the x, off, is missing.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv + doff2,
            "doff2 has to pass the square, whose slope is 2 * off.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm + 2 * off * doff2,
            "dnorm has to pass the product with inv, whose slope is inv.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv * 2 * off * doff2,
            "The two ways are multiplied; they are two ways, so they are added.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv * off * doff2,
            "The two ways are multiplied; they are two ways, so they are added. And the 2 of the square is missing.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv - 2 * off * doff2,
            "A sign: both ways are added; the minus of inv's slope is in doff2 already.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv + off**2 * doff2,
            "Multiplied by the square itself; the slope of x**2 is 2 * x.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv + 2 * off**2 * doff2,
            "The slope of x**2 is 2 * x, without the square.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm / inv + 2 * off * doff2,
            "Divided by inv; off was multiplied by it.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * off + 2 * off * doff2,
            "The slope of off * inv by off is inv, not off.",
        ),
        (
            lambda dnorm, inv, doff2, off: dnorm * inv + 2 * off,
            "doff2, what comes back to the square, is not in it.",
        ),
    ],
    "6.12": [
        (
            lambda doff: doff + 0,
            "The second use is forgotten: pre is in the mean, too, which was subtracted from every row.",
        ),
        (
            lambda doff: doff + doff.mean(0, keepdim=True),
            "A sign: the mean was subtracted, so its way comes back with a minus.",
        ),
        (
            lambda doff: doff - doff.sum(0, keepdim=True),
            "The 1/n of the mean is missing: one of n numbers moves it by an n-th.",
        ),
        (
            lambda doff: doff + doff.sum(0, keepdim=True),
            "The way through the mean has a minus (it was subtracted) and 1/n (it is a mean).",
        ),
        (
            lambda doff: doff - doff.mean(1, keepdim=True),
            "The mean over the other axis: pre.mean(0) is over the examples.",
        ),
        (lambda doff: doff - doff.mean(1), "The mean over the other axis: pre.mean(0) is over the examples."),
        (
            lambda doff: -doff.mean(0, keepdim=True).expand_as(doff),
            "Only the way through the mean is here; the straight one, doff itself, comes on top.",
        ),
        (
            lambda doff: -doff.mean(0, keepdim=True),
            "That is the way through the mean alone, one row of it; the straight one, doff itself, comes on top.",
        ),
        (
            lambda doff: -doff.sum(0, keepdim=True),
            "That is dmean. It gives each of the n rows an n-th, on top of doff itself.",
        ),
        (lambda doff: doff - doff.mean(), "One mean for everything; each column has its own."),
        (
            lambda doff: doff - doff.sum(0, keepdim=True) / (len(doff) - 1),
            "Divided by n - 1; that is for the variance. A mean divides by n.",
        ),
        (
            lambda doff: doff - doff.sum(0, keepdim=True) / 32,
            "Your n is 32, whatever the batch: take it from what is handed over, n = len(doff).",
        ),
        (
            lambda doff: doff - doff.mean(0, keepdim=True) / len(doff),
            "Divided by n twice: mean has done it once.",
        ),
        (
            lambda doff: doff * (1 - 1 / len(doff)),
            "Each row's own share of the mean is there, but the mean is subtracted from all other rows, too.",
        ),
    ],
}

CHECKS = {"6.8": d_gain_bias_norm, "6.9": d_var, "6.10": d_off2, "6.11": d_off, "6.12": d_pre}
