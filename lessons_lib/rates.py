"""How large a step: a schedule, and a sweep that finds where to put its peak. Built in lesson 4.

Import from lessons_lib.training, which has all of this.
"""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons_lib.batches import check_examples, minibatches, order_of_epoch, random_numbers
from lessons_lib.diverged import Diverged, diagnosis

__all__ = ["RateSweep", "find_rate", "one_cycle", "update"]


def one_cycle(steps: int, peak: float, warmup: float = 0.2) -> Callable[[int], float]:
    """The rate of each step, 0 to steps - 1: half a cosine from peak / 25 up to `peak`, another down to peak / 250,000.

    warmup: the share of the steps that lead up. The numbers are those of torch.optim.lr_scheduler.OneCycleLR. Raises ValueError
    for arguments outside their range, and the function returned raises it for a step that is not one of them.

    Smith and Topin, Super-convergence, 2017 (arXiv 1708.07120). Built in lesson 4.
    """
    if steps < 1 or not 0 < peak < math.inf or not 0 <= warmup <= 1:
        raise ValueError(
            "one_cycle takes 1 step or more, a peak above 0 and a warmup between 0 and 1, and got "
            f"steps = {steps}, peak = {peak}, warmup = {warmup}"
        )
    low, end, top = peak / 25, peak / 25 / 1e4, warmup * steps - 1  # the peak may lie between two steps

    def rate(step: int) -> float:
        if not 0 <= step < steps:
            raise ValueError(f"this schedule has the steps 0 to {steps - 1}, and was asked for step {step}")
        if step < top or step == top == steps - 1 > 0:  # the second: with warmup = 1 there is no way down
            return peak + (low - peak) * (1 + math.cos(math.pi * step / top)) / 2
        if step == top:
            return peak
        return end + (peak - end) * (1 + math.cos(math.pi * (step - top) / (steps - 1 - top))) / 2

    return rate


class RateSweep(NamedTuple):
    """What `find_rate` saw, step by step: the rate, and the loss of the batch before it was used. And what it recommends."""

    rates: list[float]
    losses: list[float]
    best: float

    def __repr__(self) -> str:
        return f"RateSweep of {len(self.rates)} rates, {self.rates[0]:.2g} to {self.rates[-1]:.2g}: best {self.best:.2g}"


def find_rate(
    model: nn.Module,
    train: tuple[Tensor, Tensor],
    low: float = 1e-4,
    high: float = 10.0,
    steps: int = 200,
    batch: int = 512,
    seed: int = 0,
    optimizer: Callable | None = None,
) -> RateSweep:
    """Try growing rates, one a step, from low to high in equal ratios, on a copy of the model; yours is not touched.

    train:     (X, Y), with (N, ...) and (N,).
    optimizer: optimizer(parameters, rate) makes another than plain SGD.
    `best` is a tenth of the rate at which the loss, averaged over about ten steps, is lowest: where the loss turns round, the rate
    is already too high to last. The sweep ends early once a loss is not finite, or above four times the lowest average.

    Raises ValueError for rates, steps or a batch that make no sweep, and Diverged where the very first loss is not finite.
    Smith, Cyclical learning rates for training neural networks, 2015 (arXiv 1506.01186). Built in lesson 4.
    """
    if not 0 < low < high < math.inf or steps < 2:
        raise ValueError(
            "a sweep goes up from a rate above 0 in 2 steps or more, and got "
            f"low = {low}, high = {high}, steps = {steps}"
        )
    check_examples(train, batch)
    make = optimizer or (lambda parameters, rate: torch.optim.SGD(parameters, lr=rate))
    with random_numbers(model) as numbers:
        numbers(seed)
        model = copy.deepcopy(model).train()
        moving = make(model.parameters(), low)
        rates, losses, best = [], [], low
        average, weight, lowest = 0.0, 0.0, math.inf
        epoch, batches = 0, iter(())
        for step in range(steps):
            if (pair := next(batches, None)) is None:
                batches = minibatches(batch, *train, generator=order_of_epoch(seed, epoch))
                epoch, pair = epoch + 1, next(batches)
            rate = low * (high / low) ** (step / (steps - 1))
            loss = F.cross_entropy(model(pair[0]), pair[1])
            value = loss.item()
            if not losses and not math.isfinite(value):
                raise Diverged(diagnosis(value, 1, steps, rate, losses, model, *pair))
            if not math.isfinite(value) or value > 4 * lowest:
                break
            rates.append(rate)
            losses.append(value)
            # A moving average that begins with nothing, so it is divided by the weight that has come together so far.
            average, weight = 0.9 * average + 0.1 * value, 0.9 * weight + 0.1
            if average / weight < lowest:
                lowest, best = average / weight, rate / 10
            update(moving, loss, rate)
    return RateSweep(rates, losses, best)


def update(optimizer: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One step of the optimizer down the gradient of `loss`, at this rate in all of its groups."""
    # Gradients are cleared this late because until the loss is known to be finite they are the evidence of what went wrong.
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
