"""Why did the loss become nan? What the losses, the parameters and their gradients say, in the order of what came first.

Import Diverged from lessons_lib.training.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["Diverged", "diagnosis"]

GROWN = 2.0  # times the best loss so far, and above the first: more than the noise of a batch
HUGE = 1000.0  # times the largest parameter at the start: where no useful training gets


class Diverged(FloatingPointError):
    """The loss is nan or inf. The message names the step, the rate and the likely cause."""


def diagnosis(
    value: float,
    step: int,
    steps: int,
    rate: float,
    losses: list[float],
    model: nn.Module,
    X: Tensor,
    Y: Tensor,
    start: dict[str, Tensor] | None = None,
) -> str:
    """The message of Diverged.

    value:  the loss, nan or inf, of the batch X, Y in step number `step` of `steps`, counted from 1.
    losses: of the steps before, all finite.
    model:  as it was before this step, with the gradients of the step before still in place.
    start:  its state_dict at the beginning of the run.
    """
    return f"The loss is {value} in step {step:,} of {steps:,}, at a rate of {rate:.3g}. " + _cause(
        losses, model, X, Y, start or {}
    )


def _cause(losses: list[float], model: nn.Module, X: Tensor, Y: Tensor, start: dict[str, Tensor]) -> str:
    for batch, what in ((X, "inputs"), (Y, "targets")):
        if not _finite(batch):
            return f"The {what} of this batch hold nan or inf: the data must be mended first."
    parameters = dict(model.named_parameters())
    broken = [name for name, parameter in parameters.items() if not _finite(parameter)]
    if not losses:
        if broken:
            return f"It was so before anything was learned: {broken[0]} holds nan or inf from its initialization on."
        return (
            "It was so before anything was learned, and neither the data nor the parameters hold nan or inf: the model or the loss "
            "itself makes it, by the log of a 0, a division by 0 or numbers too large for their type."
        )
    best, last = min(losses), losses[-1]
    if last > GROWN * best and last > losses[0]:
        return (
            f"It had been growing, from {best:.4g} at its best (step {losses.index(best) + 1:,}) to {last:.4g} in the step before: "
            "the rate is too high. Try a tenth of it, or ask find_rate."
        )
    for name, parameter in parameters.items():
        before = start[name].abs().max().item() if name in start and start[name].numel() else 0.0
        now = parameter.detach().abs().max().item() if parameter.numel() else 0.0
        if HUGE * max(before, 1.0) < now < math.inf:
            return (
                f"The largest number in {name} had gone from {before:.3g} to {now:.3g}: the rate is too high. Try a tenth of it, or "
                "ask find_rate."
            )
    bad_gradients = [
        name
        for name, parameter in parameters.items()
        if parameter.grad is not None and not _finite(parameter.grad)
    ]
    if bad_gradients:
        return (
            f"The gradient of {bad_gradients[0]} was nan or inf in the step before, although the loss was {last:.4g} and finite. "
            "Some function on the way is finite where its slope is not, like the square root of 0."
        )
    if broken:
        return (
            f"The update of the step before left nan or inf in {broken[0]}, out of a gradient that was finite: the rate is too high, "
            "or the optimizer divided by 0."
        )
    return (
        f"It came out of the blue: the loss before was {last:.4g}, and data, parameters and gradients were all finite. Does the "
        "model or the loss take the log of a 0, or divide by one?"
    )


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor.detach()).all())
