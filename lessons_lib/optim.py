"""Muon: for a matrix, a step that is as long in every direction. Built in lesson 8; AdamW, in lesson 4.

Jordan et al., Muon: an optimizer for hidden layers in neural networks, 2024 (kellerjordan.github.io/posts/muon).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

__all__ = ["Muon", "matrices_decay", "muon", "orthogonalise"]


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Set all singular values of a matrix (m, n) near 1 (between about 0.7 and 1.2), by matrix products alone.

    A Newton-Schulz iteration whose three numbers are chosen to lift small singular values fast and not to settle: near 1 is enough.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix  # the smaller square is the cheaper one
    x = wide / (wide.norm() + 1e-7)  # no singular value above 1 now
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if wide is not matrix else x


class Muon(torch.optim.Optimizer):
    """Groups with `matrices=True` are moved by Muon, all others by AdamW.

    A step of Muon is made as long as AdamW's usually is, 0.2 a number in the mean square, so that both live on one rate and one
    schedule (Liu et al., Muon is scalable for LLM training, 2025, arXiv 2502.16982). Raises ValueError where a parameter of a
    group of matrices is none.
    """

    def __init__(
        self, groups: list[dict], *, momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.99)
    ):
        super().__init__(
            groups,
            {
                "lr": 0.0,
                "matrices": False,
                "weight_decay": 0.0,
                "momentum": momentum,
                "betas": betas,
                "eps": 1e-8,
            },
        )
        for group in self.param_groups:
            if group["matrices"] and any(parameter.dim() != 2 for parameter in group["params"]):
                raise ValueError("Muon moves matrices: everything else belongs into another group")

    @torch.no_grad()
    def step(self, closure: Callable | None = None):
        """One step along the gradients that the parameters have; those without are left alone."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            move = self._muon if group["matrices"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    move(parameter, self.state[parameter], group)
        return loss

    def _muon(self, parameter: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["velocity"] = torch.zeros_like(parameter)
        velocity = state["velocity"].lerp_(parameter.grad, 1 - group["momentum"])
        direction = orthogonalise(
            parameter.grad.lerp(velocity, group["momentum"])
        )  # one step ahead, after Nesterov
        parameter.sub_(direction, alpha=group["lr"] * 0.2 * max(parameter.shape) ** 0.5)

    def _adamw(self, parameter: Tensor, state: dict, group: dict) -> None:
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        first, second = group["betas"]
        mean = state["mean"].lerp_(parameter.grad, 1 - first)
        square = state["square"].lerp_(parameter.grad.square(), 1 - second)
        spread = (square / (1 - second ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(mean, spread, value=-group["lr"] / (1 - first ** state["step"]))


def muon(
    model: nn.Module, *, decay: float = 0.0, momentum: float = 0.95, betas: tuple[float, float] = (0.9, 0.99)
) -> Muon:
    """An optimizer for a GPT: the matrices of its blocks by Muon, embeddings, norms and biases by AdamW.

    decay: weight decay of all matrices, embeddings included. The rate is given at each step, as Training does.
    """
    inside = {id(parameter) for parameter in model.blocks.parameters()}
    hidden, outer, rest = [], [], []
    for parameter in model.parameters():
        where = rest if parameter.dim() != 2 else hidden if id(parameter) in inside else outer
        where.append(parameter)
    return Muon(
        [
            {"params": hidden, "matrices": True, "weight_decay": decay},
            {"params": outer, "weight_decay": decay},
            {"params": rest},
        ],
        momentum=momentum,
        betas=betas,
    )


def matrices_decay(model: nn.Module, decay: float) -> list[dict]:
    """Parameter groups for AdamW: weight decay for matrices and embeddings, none for norms and biases."""
    matrices, rest = ([p for p in model.parameters() if (p.dim() > 1) == wanted] for wanted in (True, False))
    return [{"params": matrices, "weight_decay": decay}, {"params": rest, "weight_decay": 0.0}]
