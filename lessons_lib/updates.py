"""How large the updates of a training are, next to the weights they change. Offered by `diagnostics`, built in lesson 5."""

import math

import torch
from torch import Tensor, nn

__all__ = ["UpdateRatios", "std"]


def std(values: Tensor) -> float:
    """Std with n - 1, as torch has it, in float64; 0 for a single number, and where all are equal, without a rounding error."""
    if values.numel() and torch.equal(*values.aminmax()):
        return 0.0
    return values.double().std(correction=min(1, values.numel() - 1)).item()


class UpdateRatios:
    """Follow how large the updates are, next to the weights, while an optimizer trains a model.

    At the first step and every `every`-th from there, for each parameter with two dimensions or more that the optimizer holds:
    log10(std(update) / std(weights before it)). The update is what the optimizer did, so momentum and AdamW are measured as they are;
    rate * gradient would be right for plain SGD alone. -inf: not moved; nan: all weights were equal.

    steps: numbers of the measured steps, from 0. ratios: name -> list, a number for each of steps. `remove()` ends the listening,
    and so does leaving a `with` block. Raises ValueError for every < 1 and where the optimizer holds no matrix of the model.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, every: int = 10):
        if every < 1:
            raise ValueError(f"every {every} steps: 1 is the least")
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        self._watched = {n: p for n, p in model.named_parameters() if p.dim() >= 2 and id(p) in held}
        if not self._watched:
            raise ValueError("the optimizer holds no parameter of this model that has two dimensions or more")
        self.steps: list[int] = []
        self.ratios: dict[str, list[float]] = {name: [] for name in self._watched}
        self._every, self._step, self._before = every, 0, {}
        self._handles = [
            optimizer.register_step_pre_hook(self._note),
            optimizer.register_step_post_hook(self._compare),
        ]

    def _note(self, *_) -> None:
        if self._step % self._every == 0:
            self._before = {name: p.detach().clone() for name, p in self._watched.items()}

    def _compare(self, *_) -> None:
        if self._before:
            self.steps.append(self._step)
            for name, before in self._before.items():
                size, move = std(before), std(self._watched[name].detach() - before)
                ratio = move / size if size else math.nan
                self.ratios[name].append(math.log10(ratio) if ratio else -math.inf)
        self._before, self._step = {}, self._step + 1

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()

    def __enter__(self) -> "UpdateRatios":
        return self

    def __exit__(self, *_) -> None:
        self.remove()
