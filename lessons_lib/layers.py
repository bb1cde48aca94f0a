"""Layers that torch.nn does not have. Everything that it has, the lessons build once, prove equal to torch's, and take from there."""

import torch
from torch import Tensor, nn

__all__ = ["BatchNorm", "CausalConv", "FlattenConsecutive", "GatedBlock", "Residual"]


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


class FlattenConsecutive(nn.Module):
    """Lay `count` neighbours side by side: (B, T, C) -> (B, T / count, count * C). No number moves. Built in lesson 7.

    The result keeps its three axes where one place is left, so that a fourth call on eight letters is refused and not
    misunderstood; torch.nn.Flatten takes the axis away where it is no longer wanted.
    Raises ValueError where T is not a multiple of `count`, or the input has not three axes.
    """

    def __init__(self, count: int):
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 3 or x.shape[1] % self.count:
            raise ValueError(
                f"{self.count} neighbours at a time are taken from a shape (B, T, C) with T a multiple of {self.count}, "
                f"and this one is {tuple(x.shape)}"
            )
        return x.reshape(len(x), x.shape[1] // self.count, self.count * x.shape[2])

    def extra_repr(self) -> str:
        return f"{self.count}"


class BatchNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis over all the others: (..., C) -> (..., C). Built in lesson 7.

    torch.nn.BatchNorm1d reads three axes as (N, C, L); the lessons keep channels last, (B, T, C), as every matrix product
    does. Parameters, buffers and the two variances (n in training, n - 1 for the running one) are torch's. Ioffe and Szegedy, 2015.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).view(x.shape)


class CausalConv(nn.Module):
    """A convolution of width two over names laid end to end: each place is made of itself and of the one `dilation` before it.

    (P, C), place (P,) -> (P, C_out), where place counts how many letters of its own name stand before each: 0 at the first,
    which is the end mark of the name before. No place sees a later one, or another name's. Where a name reaches back no further
    its first place is taken again: it stands for the silence before the name, and what precedes silence is silence. That
    makes the result equal to that of windows padded with end marks, which a padding with zeros does not. Built in lesson 7; after van
    den Oord and others, WaveNet, 2016 (arXiv 1609.03499).
    """

    def __init__(self, inputs: int, outputs: int, dilation: int, bias: bool = True):
        super().__init__()
        if dilation < 1:
            raise ValueError(f"the place before lies 1 step back or more, and dilation is {dilation}")
        self.dilation = dilation
        self.linear = nn.Linear(2 * inputs, outputs, bias=bias)  # of (before, here), in this order

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        back = place.clamp(max=self.dilation)
        # index_select and not x[...]: its backward adds whole rows, which takes half the time.
        before = x.index_select(0, torch.arange(len(x), device=x.device) - back)
        return self.linear(torch.cat([before, x], dim=-1))


class GatedBlock(nn.Module):
    """WaveNet's block: what a convolution says, times a gate that says how much of it counts; (P, C) -> two of (P, C).

    Returns the input with the change added to it, for the next block, and the change alone, for the sum at the end to which every
    block contributes (the skip connection). Built in lesson 7; van den Oord and others, 2016, section 2.3 and 2.4.
    """

    def __init__(self, width: int, dilation: int, dropout: float = 0.0):
        super().__init__()
        self.conv = CausalConv(width, 2 * width, dilation)
        self.dropout = nn.Dropout(dropout)
        self.mix = nn.Linear(width, width)

    def forward(self, x: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
        said, gate = self.conv(x, place).chunk(2, dim=-1)
        change = self.mix(self.dropout(said.tanh() * gate.sigmoid()))
        return x + change, change
