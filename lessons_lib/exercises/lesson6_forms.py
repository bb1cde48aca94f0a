"""The checks of lesson 6 of the gradients in one line: cross-entropy, BatchNorm and LayerNorm, 6.15, 6.16 and 6.19."""

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons_lib.exercises.lesson6_ruler import Mistakes, draw, indices, judged, normalised, pulled_back

LETTERS = 27


def d_logits_at_once(answer):
    """6.15: d_logits_at_once(logits, Y), softmax and cross-entropy together."""
    cases = [
        (draw(0, 2, LETTERS), torch.tensor([3, 0])),
        (draw(1, 3, LETTERS), torch.tensor([2, 2, 2])),
        (3 * draw(2, 5, LETTERS), torch.tensor([5, 13, 0, 13, 26])),
        (draw(3, LETTERS, LETTERS), indices(3, LETTERS, LETTERS)),
        (torch.where(draw(4, 4, LETTERS) > 1, 1000.0, draw(5, 4, LETTERS)), torch.tensor([0, 1, 2, 26])),
    ]
    for logits, Y in cases:
        truth = pulled_back(lambda x, Y=Y: F.cross_entropy(x, Y), torch.ones_like(logits[0, 0]), logits)
        judged(answer, {"logits": logits, "Y": Y}, truth, MISTAKES["6.15"])
    return "Belief minus truth: each row sums to 0, one letter is pulled up, and the other 26 pay for it as they were believed."


def one_hot(logits: Tensor, Y: Tensor) -> Tensor:
    return F.one_hot(Y, logits.shape[1]).to(logits.dtype)


def d_pre_at_once(answer):
    """6.16: d_pre_at_once(dact, gain, norm, inv), all of BatchNorm, with n - 1 in the variance."""
    for seed, (n, hidden) in enumerate(((3, 2), (5, 7), (27, 27), (100, 4))):
        pre, gain = 2 * draw(seed, n, hidden) + 1, 1 + 0.5 * draw(seed + 10, hidden)
        dact = draw(seed + 20, n, hidden)
        truth = pulled_back(lambda x, gain=gain: gain * normalised(x)["norm"], dact, pre)
        parts = normalised(pre)
        inputs = {"dact": dact, "gain": gain, "norm": parts["norm"], "inv": parts["inv"]}
        judged(answer, inputs, truth, MISTAKES["6.16"])
    return "Two things are taken out of each column: its mean, and its likeness to norm. Those are what BatchNorm makes of no account."


def batch_norm_back(dact, gain, norm, inv, first=None, second=None, over: int = 0) -> Tensor:
    """The true gradient with the divisor of the first or the second sum changed; 0 leaves the sum out."""
    first = len(dact) if first is None else first
    second = len(dact) - 1 if second is None else second
    a = dact.sum(over, keepdim=True) / first if first else 0
    b = norm * (dact * norm).sum(over, keepdim=True) / second if second else 0
    return gain * inv * (dact - a - b)


def d_layer_norm(answer):
    """6.19: d_layer_norm(dout, gain, norm, inv), mean and variance over the units of one example, divided by H."""
    for seed, (n, hidden) in enumerate(((2, 3), (5, 7), (27, 27), (4, 50))):
        x, gain = 2 * draw(seed, n, hidden) + 1, 1 + 0.5 * draw(seed + 10, hidden)
        dout = draw(seed + 20, n, hidden)
        truth = pulled_back(lambda x, gain=gain: gain * normalised(x, over=1, less=0)["norm"], dout, x)
        parts = normalised(x, over=1, less=0)
        inputs = {"dout": dout, "gain": gain, "norm": parts["norm"], "inv": parts["inv"]}
        judged(answer, inputs, truth, MISTAKES["6.19"])
    return "The same line along the other axis; only the gain had to move inside, where it differs from unit to unit."


def layer_norm_back(g: Tensor, norm: Tensor, inv: Tensor, less=0, over=1, mean=True, likeness=True) -> Tensor:
    """The true gradient for g = dout * gain; less: 1 divides the second sum by H - 1; mean, likeness: whether that is taken out."""
    size = g.shape[over]
    a = g.mean(over, keepdim=True) if mean else 0
    b = norm * (g * norm).sum(over, keepdim=True) / (size - less) if likeness else 0
    return inv * (g - a - b)


MISTAKES: dict[str, Mistakes] = {
    "6.15": [
        (
            lambda logits, Y: logits.softmax(1) - one_hot(logits, Y),
            "The 1/n of the mean is missing: each example has one n-th of a say.",
        ),
        (
            lambda logits, Y: logits.softmax(1) / len(Y),
            "Nothing was subtracted for the label: there the belief falls short of 1.",
        ),
        (
            lambda logits, Y: logits.softmax(1),
            "That is what the model believes. Its gradient is belief minus truth, and 1/n.",
        ),
        (
            lambda logits, Y: (one_hot(logits, Y) - logits.softmax(1)) / len(Y),
            "The sign: a larger logit at the label makes the loss smaller.",
        ),
        (
            lambda logits, Y: (logits.softmax(0) - one_hot(logits, Y)) / len(Y),
            "The softmax is over the wrong axis: each row is one example, and sums to 1.",
        ),
        (
            lambda logits, Y: logits.softmax(0) - one_hot(logits, Y),
            "The softmax is over the wrong axis, and the 1/n of the mean is missing.",
        ),
        (
            lambda logits, Y: -one_hot(logits, Y) / len(Y),
            "That is dlogp, where we began: the softmax is missing.",
        ),
        (
            lambda logits, Y: (logits.softmax(1) - one_hot(logits, Y)) / logits.shape[1],
            "Divided by the number of letters; the mean is over the examples.",
        ),
        (
            lambda logits, Y: (logits.softmax(1) - one_hot(logits, Y)) / logits.numel(),
            "Divided by n * 27; the mean is over the n examples.",
        ),
        (
            lambda logits, Y: (logits.softmax(1) - one_hot(logits, Y)) / 32,
            "Your n is 32, whatever the batch: take it from what is handed over, n = len(Y).",
        ),
        (
            lambda logits, Y: logits.softmax(1) / len(Y) - one_hot(logits, Y),
            "Only the softmax was divided by n; the 1 at the label is part of it, too.",
        ),
        (
            lambda logits, Y: logits.softmax(1) - one_hot(logits, Y) / len(Y),
            "Only the 1 at the label was divided by n; the softmax is part of it, too.",
        ),
        (
            lambda logits, Y: (logits.softmax(1) - one_hot(logits, Y).amax(0)) / len(Y),
            "dlogits[:, Y] means these columns in every row; one entry a row is [torch.arange(n), Y].",
        ),
        (
            lambda logits, Y: (logits - one_hot(logits, Y)) / len(Y),
            "The softmax is missing: logits are no probabilities yet.",
        ),
        (
            lambda logits, Y: (logits.log_softmax(1) - one_hot(logits, Y)) / len(Y),
            "Those are log-probabilities; belief minus truth takes probabilities.",
        ),
        (
            lambda logits, Y: (logits.exp() - one_hot(logits, Y)) / len(Y),
            "The counts still have to be divided by their total in the row.",
        ),
        (
            lambda logits, Y: (
                (logits.exp() / logits.exp().sum(1, keepdim=True) - one_hot(logits, Y)) / len(Y)
            ),
            "exp(1000) is inf, and inf / inf is nan. Subtract each row's maximum first, or use softmax, which does.",
        ),
    ],
    "6.16": [
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, second=len(dact)),
            "The last term divides by n, as PyTorch's does; this variance was divided by n - 1, and so is that term.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, first=len(dact) - 1),
            "The first mean divides by n - 1; the mean of pre divides by n, and so does that term.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(
                dact, gain, norm, inv, first=len(dact) - 1, second=len(dact)
            ),
            "The n and the n - 1 are exchanged: n belongs to the mean, n - 1 to the variance.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, first=0),
            "The way through the mean is missing: a push on all examples alike is taken away.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, second=0),
            "The way through the variance is missing: it depends on pre, too.",
        ),
        (
            lambda dact, gain, norm, inv: gain * inv * dact,
            "Mean and variance are taken as fixed; both depend on pre, and two terms are missing.",
        ),
        (lambda dact, gain, norm, inv: batch_norm_back(dact, 1, norm, inv), "The gain is forgotten."),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain**2, norm, inv),
            "The gain is in it twice; norm was multiplied by it once.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, 1),
            "inv is forgotten: pre was multiplied by it on its way into norm.",
        ),
        (lambda dact, gain, norm, inv: batch_norm_back(dact, 1, norm, 1), "The gain and inv are forgotten."),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, 1 / inv),
            "Divided by inv; pre was multiplied by it.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv**2),
            "One inv too many: norm has its own already.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv**3),
            "inv**3 is right where off stands; norm = off * inv, so one is enough.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, first=1),
            "The first sum is not divided by n: it is the way through a mean.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, second=1),
            "The second sum is not divided by n - 1, as the variance was.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, first=1, second=1),
            "Neither sum is divided: the first by n, the second by n - 1.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, second=1 - len(dact)),
            "A sign: the way through the variance is subtracted, as inv falls when it grows.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, first=-len(dact)),
            "A sign: the way through the mean is subtracted, as the mean was.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, second=2 * (len(dact) - 1)),
            "A factor of 2: the 2 of the square and the half of the root cancel.",
        ),
        (
            lambda dact, gain, norm, inv: (
                gain * inv * (dact - dact.mean(0) - (dact * norm).sum(0) / (len(dact) - 1))
            ),
            "In the last term norm stands twice, inside the sum and before it; the one before is missing.",
        ),
        (
            lambda dact, gain, norm, inv: (
                gain * inv * (dact - dact.mean(0) - norm * dact.sum(0) / (len(dact) - 1))
            ),
            "In the last term norm stands twice, inside the sum and before it; the one inside is missing.",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(
                dact, gain, norm, inv, dact.shape[1], dact.shape[1] - 1, over=1
            ),
            "The sums are over the other axis: BatchNorm's are over the examples, 0. (Along 1 it is LayerNorm.)",
        ),
        (
            lambda dact, gain, norm, inv: batch_norm_back(dact, gain, norm, inv, first=32, second=31),
            "Your n is 32, whatever the batch: take it from what is handed over, n = len(dact).",
        ),
    ],
    "6.19": [
        (
            lambda dout, gain, norm, inv: gain * layer_norm_back(dout, norm, inv),
            "The gain stands outside, as in BatchNorm. Here it differs along the axis that is averaged, so it has to be inside: dout * gain first.",
        ),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, inv, less=1),
            "The last term divides by H - 1; this variance was divided by H.",
        ),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, inv, over=0),
            "The means are over the examples, as in BatchNorm; here they are over the units, 1.",
        ),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, inv, over=0, less=1),
            "That is BatchNorm's line as it stands: here the means are over the units, 1, the divisor is H, and the gain moves inside.",
        ),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, inv, mean=False),
            "The way through the mean is missing.",
        ),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, inv, likeness=False),
            "The way through the variance is missing.",
        ),
        (
            lambda dout, gain, norm, inv: dout * gain * inv,
            "Mean and variance are taken as fixed; both depend on x, and two terms are missing.",
        ),
        (lambda dout, gain, norm, inv: layer_norm_back(dout, norm, inv), "The gain is forgotten."),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, 1),
            "inv is forgotten: x was multiplied by it on its way into norm.",
        ),
        (
            lambda dout, gain, norm, inv: layer_norm_back(dout * gain, norm, 1 / inv),
            "Divided by inv; x was multiplied by it.",
        ),
        (
            lambda dout, gain, norm, inv: (
                inv
                * (
                    dout * gain
                    - (dout * gain).mean(1, keepdim=True)
                    + norm * (dout * gain * norm).mean(1, keepdim=True)
                )
            ),
            "A sign: the way through the variance is subtracted, as inv falls when it grows.",
        ),
    ],
}

CHECKS = {"6.15": d_logits_at_once, "6.16": d_pre_at_once, "6.19": d_layer_norm}
