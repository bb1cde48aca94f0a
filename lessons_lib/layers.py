"""Layers that torch.nn does not have. Everything that it has, the lessons build once, prove equal to torch's, and take from there."""

from torch import Tensor, nn

__all__ = ["Residual"]


class Residual(nn.Module):
    """x + inner(x): what the inner layers make of x is added to it, and neither way is lost. Built in lesson 5.

    inner: any module whose output has the shape of its input, (..., C) -> (..., C). Backwards the gradient takes both ways as well: through
    the sum it arrives as it came, whatever the inner layers do to it. He and others, Deep residual learning for image recognition,
    2015 (arXiv 1512.03385).
    Raises ValueError where the inner layers change the shape: a sum that broadcasts would go unnoticed.
    """

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        change = self.inner(x)
        if change.shape != x.shape:
            raise ValueError(
                f"a residual connection adds two equal shapes, and the inner layers turn {tuple(x.shape)} into {tuple(change.shape)}"
            )
        return x + change
