"""The checks of lesson 6 from the loss back to the logits, 6.1 to 6.5."""

import functools

import torch
from torch import Tensor

from lessons_lib.exercises.lesson6_ruler import Mistakes, draw, indices, judged, pulled_back, quarters

LETTERS = 27


def d_logp(answer):
    """6.1: d_logp(logp, Y), from loss = -logp[range(n), Y].mean()."""
    for seed, labels in enumerate(([3, 0], [2, 2, 2], [5, 13, 0, 13, 26], None)):
        Y = indices(seed, LETTERS, 40) if labels is None else torch.tensor(labels)
        logp = draw(seed, len(Y), LETTERS).log_softmax(1)
        truth = pulled_back(lambda logp, Y=Y: chosen_mean(logp, Y), torch.ones_like(logp[0, 0]), logp)
        judged(answer, {"logp": logp, "Y": Y}, truth, MISTAKES["6.1"])
    return "Only the labels are asked. The other 26 of each row hear of it further back, through their total."


def chosen_mean(logp: Tensor, Y: Tensor) -> Tensor:
    return -logp[torch.arange(len(Y)), Y].mean()


def at_labels(logp: Tensor, Y: Tensor, value) -> Tensor:
    """Zeros, but `value` at each row's label."""
    out = torch.zeros_like(logp)
    out[torch.arange(len(Y)), Y] = value
    return out


def d_probs(answer):
    """6.2: d_probs(dlogp, probs), through logp = probs.log()."""
    for seed, (n, k) in enumerate(((2, 3), (5, LETTERS), (LETTERS, LETTERS))):
        probs, dlogp = draw(seed, n, k).softmax(1), quarters(draw(seed + 10, n, k))
        judged(
            answer,
            {"dlogp": dlogp, "probs": probs},
            pulled_back(torch.log, dlogp, probs),
            MISTAKES["6.2"],
        )
    n = 5  # and what the lesson's loss sends: 0 but for one number a row
    probs, dlogp = (
        (6 * draw(7, n, LETTERS)).softmax(1),
        at_labels(draw(0, n, LETTERS), indices(1, 27, n), -1 / n),
    )
    judged(answer, {"dlogp": dlogp, "probs": probs}, pulled_back(torch.log, dlogp, probs), MISTAKES["6.2"])
    return "The less a right answer was believed in, the harder it is pulled: 1/0.001 is a thousand."


def d_share(answer):
    """6.3: d_share(dprobs, counts), through probs = counts * share, share being copied into every column."""
    for seed, (n, k) in enumerate(((2, 3), (5, LETTERS), (LETTERS, LETTERS))):
        counts, dprobs = draw(seed, n, k).exp(), quarters(draw(seed + 10, n, k))
        share = counts.sum(1, keepdim=True) ** -1
        truth = pulled_back(lambda s, counts=counts: counts * s, dprobs, share)
        judged(answer, {"dprobs": dprobs, "counts": counts}, truth, MISTAKES["6.3"])
    return "Copied on the way forward, summed on the way back, over the same axis. It comes back at the biases, the gain, the variance and the mean."


def d_counts(answer):
    """6.4: d_counts(dprobs, dshare, counts, share): counts is used in probs = counts * share, and in total = counts.sum(1)."""
    for seed, n in enumerate((2, 5, LETTERS)):
        counts, dprobs = draw(seed, n, LETTERS).exp(), draw(seed + 10, n, LETTERS)
        share = counts.sum(1, keepdim=True) ** -1
        dshare = (dprobs * counts).sum(1, keepdim=True)
        truth = pulled_back(lambda c: c * c.sum(1, keepdim=True) ** -1, dprobs, counts)
        inputs = {"dprobs": dprobs, "dshare": dshare, "counts": counts, "share": share}
        judged(answer, inputs, truth, MISTAKES["6.4"])
    return "Two ways lead from counts to the loss, and a nudge takes both: used twice means added."


def d_logits(answer):
    """6.5: d_logits(dcounts, counts, logits), through counts = (logits - logits.max(1)).exp()."""
    for seed, n in enumerate((2, 5, LETTERS)):
        logits, dcounts = draw(seed, n, LETTERS), draw(seed + 10, n, LETTERS)
        truth = pulled_back(above_the_top, dcounts, logits)
        inputs = {"dcounts": dcounts, "counts": above_the_top(logits), "logits": logits}
        judged(answer, inputs, truth, MISTAKES["6.5"])
    return "In the lesson the maximum's share is 0 up to rounding, for softmax is blind to a shift; the rule had to be right all the same."


def above_the_top(logits: Tensor) -> Tensor:
    return (logits - logits.max(1, keepdim=True).values).exp()


def routed(dcounts: Tensor, counts: Tensor, logits: Tensor, sign: int = -1, inner: Tensor | None = None):
    """d_logits with `sign` times the sum of `inner` (or of dsafe) sent to the place of the maximum."""
    dsafe = dcounts * counts
    dtop = sign * (dsafe if inner is None else inner).sum(1, keepdim=True)
    return dsafe.scatter_add(1, logits.argmax(1, keepdim=True), dtop)


def overwritten(dcounts: Tensor, counts: Tensor, logits: Tensor) -> Tensor:
    """d_logits with the maximum's share put in the place of what came the straight way."""
    dsafe = dcounts * counts
    return dsafe.scatter(1, logits.argmax(1, keepdim=True), -dsafe.sum(1, keepdim=True))


def every_row(dcounts: Tensor, counts: Tensor, logits: Tensor, kept: bool) -> Tensor:
    """d_logits with `dlogits[:, winners] -=` the sums of the rows, as a row (n,) or, with `kept`, as a column (n, 1)."""
    dlogits = dcounts * counts
    dlogits[:, logits.argmax(1)] -= dlogits.sum(1, keepdim=kept)
    return dlogits


def by_columns(dcounts: Tensor, counts: Tensor, logits: Tensor) -> Tensor:
    """d_logits as if the maximum had been taken over the examples."""
    dsafe = dcounts * counts
    return dsafe.scatter_add(0, logits.argmax(0, keepdim=True), -dsafe.sum(0, keepdim=True))


MISTAKES: dict[str, Mistakes] = {
    "6.1": [
        (
            lambda logp, Y: at_labels(logp, Y, 1 / len(Y)),
            "The sign: the loss is minus the mean, so a larger logp makes it smaller.",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, -1.0),
            "The 1/n of the mean is missing: each example has one n-th of a say.",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, 1.0),
            "Those are the labels themselves: minus and 1/n are missing.",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, -1 / logp.numel()),
            "The mean is over the n numbers that were picked, not over all n * 27.",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, -1 / logp.shape[1]),
            "Divided by the number of letters; the mean is over the examples.",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, -1 / 32),
            "Your n is 32, whatever the batch: take it from what is handed over, n = len(Y).",
        ),
        (
            lambda logp, Y: torch.full_like(logp, -1 / len(Y)),
            "Every entry has it; the loss looks at one number a row, its label's, and the others have 0.",
        ),
        (
            lambda logp, Y: torch.full_like(logp, -1 / logp.numel()),
            "That is the gradient of the mean of all entries; the loss looks at one a row, its label's.",
        ),
        (
            lambda logp, Y: torch.zeros_like(logp).index_fill(1, Y, -1 / len(Y)),
            "dlogp[:, Y] means these columns in every row; one entry a row is [torch.arange(n), Y].",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, -1 / len(Y)) * logp,
            "Those are the terms of the loss; their slope is what is multiplied with logp, without logp.",
        ),
        (
            lambda logp, Y: at_labels(logp, Y, -1 / len(Y)) / logp.exp(),
            "One step too far: that is dprobs, the next exercise.",
        ),
        (
            lambda logp, Y: (logp.exp() - at_labels(logp, Y, 1.0)) / len(Y),
            "Too far: that is the gradient at the logits, seven steps further back.",
        ),
    ],
    "6.2": [
        (lambda dlogp, probs: dlogp * probs, "Multiplied by probs; the slope of log(p) is 1/p."),
        (
            lambda dlogp, probs: 1 / probs,
            "That is the slope of the logarithm alone; what comes back, dlogp, is not in it.",
        ),
        (
            lambda dlogp, probs: -dlogp / probs,
            "The sign: the logarithm rises everywhere, so its slope is positive.",
        ),
        (lambda dlogp, probs: dlogp + 1 / probs, "The slope and what comes back are multiplied, not added."),
        (
            lambda dlogp, probs: dlogp / probs.log(),
            "Divided by log(p), which is the value; the slope is 1/p.",
        ),
        (
            lambda dlogp, probs: dlogp * probs.log(),
            "Multiplied by log(p), which is the value; the slope is 1/p.",
        ),
        (lambda dlogp, probs: -dlogp / probs**2, "-1/p**2 is the slope of 1/p; that of log(p) is 1/p."),
        (lambda dlogp, probs: probs / dlogp, "Upside down: dlogp is divided by probs."),
        (
            lambda dlogp, probs: dlogp / probs.exp(),
            "exp undoes the logarithm, but is not its slope: that is 1/p.",
        ),
        (
            lambda dlogp, probs: dlogp / (probs + 1e-5),
            "Nothing has to keep this from dividing by 0: probs are positive.",
        ),
    ],
    "6.3": [
        (
            lambda dprobs, counts: dprobs * counts,
            "The sum is missing: one share was copied into every column of its row, and what comes back to all of them is added.",
        ),
        (
            lambda dprobs, counts: (dprobs * counts).mean(1, keepdim=True),
            "A mean; each copy touches the loss in its own way, and these ways are added.",
        ),
        (
            lambda dprobs, counts: (dprobs * counts).sum(0, keepdim=True),
            "Summed over the other axis: share was copied along the row, so the sum is over 1.",
        ),
        (
            lambda dprobs, counts: (dprobs * counts).sum(0),
            "Summed over the other axis: share was copied along the row, so the sum is over 1.",
        ),
        (
            lambda dprobs, counts: (dprobs * counts).sum(0)[:, None],
            "Summed over the other axis and turned upright; it is a sum over 1 with keepdim=True.",
        ),
        (
            lambda dprobs, counts: dprobs.sum(1, keepdim=True),
            "counts is not in it: it is what a share was multiplied by.",
        ),
        (lambda dprobs, counts: counts.sum(1, keepdim=True), "dprobs, what comes back, is not in it."),
        (
            lambda dprobs, counts: dprobs.sum(1, keepdim=True) * counts.sum(1, keepdim=True),
            "The product of two sums; multiply first, entry by entry, and then sum.",
        ),
        (
            lambda dprobs, counts: counts.sum(1, keepdim=True) ** -1,
            "That is share itself; its gradient is wanted.",
        ),
        (
            lambda dprobs, counts: (dprobs * counts / counts.sum(1, keepdim=True)).sum(1, keepdim=True),
            "Multiplied by probs; share was multiplied by counts.",
        ),
        (
            lambda dprobs, counts: (dprobs / counts).sum(1, keepdim=True),
            "Divided by counts; share was multiplied by them.",
        ),
        (
            lambda dprobs, counts: -(dprobs * counts).sum(1, keepdim=True) / counts.sum(1, keepdim=True) ** 2,
            "One step too far: that is dtotal, which is part of the next exercise.",
        ),
        (
            lambda dprobs, counts: (dprobs * counts).sum(1, keepdim=True).expand_as(counts),
            "The sums are right, and were copied into every column again: share has one number a row.",
        ),
    ],
    "6.4": [
        (
            lambda dprobs, dshare, counts, share: dprobs * share,
            "The second use is forgotten: counts went into the total, too.",
        ),
        (
            lambda dprobs, dshare, counts, share: (-dshare * share**2).expand_as(counts),
            "Only the way through the total is here; counts was also multiplied by share.",
        ),
        (
            lambda dprobs, dshare, counts, share: -dshare * share**2,
            "That is dtotal, one number a row. A sum gives it to each of its terms, and the way through probs comes on top.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share + dshare * share**2,
            "A sign: the slope of 1/x is -1/x**2. A larger total makes every share smaller.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - dshare / share**2,
            "Divided by share**2. The slope of 1/x is -1/x**2, and 1/x is share already: it is multiplied by share**2.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - dshare * share,
            "The slope of 1/x is -1/x**2, so share is squared; yours is not.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share + dshare * share,
            "dshare has to pass through share = total**-1 first, whose slope is -share**2.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share + dshare,
            "dshare has to pass through share = total**-1 first, whose slope is -share**2.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - dshare,
            "dshare has to pass through share = total**-1 first, whose slope is -share**2.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - share**2,
            "dshare, what comes back to the share, is not in it.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - dshare * share**2 / counts.shape[1],
            "The total's gradient was divided among the columns; a sum gives each of its terms the whole of it.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - (dshare * share**2).sum(),
            "The totals were added up over the batch; each row has its own total, and dtotal is (n, 1).",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - dshare * share**2 * counts,
            "The slope of a sum is 1 for each of its terms; yours multiplies by counts.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share - dshare / counts**2,
            "-1/x**2 is right, but x is the total, not counts: share**2 is 1/total**2.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * share * (-dshare * share**2),
            "The two ways are multiplied; they are two ways, so they are added.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs - dshare * share**2,
            "On the straight way the slope is missing: counts was multiplied by share.",
        ),
        (
            lambda dprobs, dshare, counts, share: dprobs * counts - dshare * share**2,
            "On the straight way the slope of counts * share by counts is share, not counts.",
        ),
    ],
    "6.5": [
        (
            lambda dcounts, counts, logits: dcounts * counts,
            "The maximum's share is forgotten: it was subtracted from all 27, and it is one of the logits. With the lesson's own dcounts "
            "it is 0 up to rounding; with another loss it is not.",
        ),
        (
            lambda dcounts, counts, logits: dcounts * counts - (dcounts * counts).sum(1, keepdim=True),
            "The maximum's share went to every column; a maximum hands it to the one place it came from.",
        ),
        (
            lambda dcounts, counts, logits: dcounts * counts - (dcounts * counts).mean(1, keepdim=True),
            "The maximum's share was spread over all columns; a maximum hands it to the one place it came from.",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, counts, logits, sign=1),
            "A sign: the maximum is subtracted, so what goes to its place is minus the sum.",
        ),
        (
            overwritten,
            "At the place of the maximum the two ways have to be added; yours replaces one by the other.",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, counts, logits, inner=dcounts),
            "What comes back to the maximum is the sum of dsafe = dcounts * counts, after the exponential; yours sums dcounts.",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, torch.ones_like(counts), logits),
            "The slope of exp is missing: it is its own value, counts.",
        ),
        (
            lambda dcounts, counts, logits: dcounts + 0,
            "The slope of exp is missing, which is its own value, counts; and so is the maximum's share.",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, logits.exp(), logits),
            "exp(logits) in place of counts: the exponential was taken after the maximum had been subtracted.",
        ),
        (
            lambda dcounts, counts, logits: dcounts * logits.exp(),
            "exp(logits) in place of counts: the exponential was taken after the maximum had been subtracted; and its share is forgotten.",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, counts.log(), logits),
            "The slope of exp is its own value, counts, not what goes into it.",
        ),
        (
            lambda dcounts, counts, logits: routed(0 * dcounts, counts, logits, inner=dcounts * counts),
            "Only the maximum's share is here; the straight way, dcounts * counts, comes on top.",
        ),
        (
            lambda dcounts, counts, logits: routed(dcounts, counts, logits) - dcounts * counts + dcounts,
            "The slope of exp is missing on the straight way: it is its own value, counts.",
        ),
        *(
            (
                functools.partial(every_row, kept=kept),
                "dlogits[:, winners] means these columns in every row; one entry a row is [torch.arange(n), winners].",
            )
            for kept in (False, True)
        ),
        (by_columns, "The maximum was taken in each row, over 1; yours looks for it in each column."),
    ],
}

CHECKS = {"6.1": d_logp, "6.2": d_probs, "6.3": d_share, "6.4": d_counts, "6.5": d_logits}
