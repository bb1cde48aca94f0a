"""Causal self-attention, its key-value cache, and rotary positions. Built in lesson 8; lessons_lib.transformer makes a GPT of it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Attention", "Past", "rotate"]


class Past:
    """The key-value cache of one layer: the keys and values of all places read so far, each (B, heads, places, head size)."""

    def __init__(self):
        self.keys = self.values = None

    def __len__(self) -> int:
        return 0 if self.keys is None else self.keys.shape[2]

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add the newest places, and return all of them."""
        if self.keys is not None:
            keys, values = torch.cat([self.keys, keys], dim=2), torch.cat([self.values, values], dim=2)
        self.keys, self.values = keys, values
        return keys, values


def rotate(x: Tensor, start: int) -> Tensor:
    """Turn the halves of each vector against each other, by angles that grow with its place: x (B, heads, T, D), D even.

    The place of the first vector is `start`. The product of two vectors so turned depends on how far they are apart and not on where
    they stand. Su et al., RoFormer, 2021 (arXiv 2104.09864).
    """
    half = x.shape[-1] // 2
    exact = torch.promote_types(x.dtype, torch.float32)  # to bfloat16, place 257 would be place 256
    speeds = 100.0 ** -(
        torch.arange(half, dtype=exact, device=x.device) / half
    )  # a block of 64 needs no 10,000
    places = torch.arange(start, start + x.shape[-2], dtype=exact, device=x.device)
    angles = places[:, None] * speeds  # (T, D / 2)
    sine, cosine = angles.sin(), angles.cos()
    left, right = x[..., :half], x[..., half:]
    return torch.cat([left * cosine - right * sine, left * sine + right * cosine], dim=-1).to(x.dtype)


class Attention(nn.Module):
    """Causal self-attention with its heads as a batch dimension: (B, T, C) -> (B, T, C). Vaswani et al., 2017 (arXiv 1706.03762)."""

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, rotary: bool = False, qk_norm: bool = False
    ):
        super().__init__()
        self.heads, self.dropout, self.rotary, self.qk_norm = heads, dropout, rotary, qk_norm
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def questions(self, x: Tensor, start: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of x (B, T, C), each (B, heads, T, C / heads)."""
        q, k, v = (
            one.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for one in self.query_key_value(x).chunk(3, -1)
        )
        if (
            self.qk_norm
        ):  # all of one length, so that only directions decide (Henry et al., 2020, arXiv 2010.04245)
            q, k = (F.rms_norm(one, one.shape[-1:]) for one in (q, k))
        if self.rotary:
            q, k = rotate(q, start), rotate(k, start)
        return q, k, v

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        q, k, v = self.questions(x, 0 if past is None else len(past))
        mask, new = None, q.shape[2]
        if past is not None:
            k, v = past.extend(k, v)
            if new < k.shape[2]:  # place i of the new ones sees all that are cached and i + 1 of the new
                mask = torch.ones(new, k.shape[2], dtype=torch.bool, device=x.device).tril(k.shape[2] - new)
        dropout = self.dropout if self.training else 0.0  # the function itself knows no eval mode
        mixed = F.scaled_dot_product_attention(q, k, v, mask, dropout, is_causal=mask is None)
        mixed = self.out(mixed.transpose(1, 2).flatten(2))  # (B, heads, T, C / heads) -> (B, T, C)
        return F.dropout(mixed, self.dropout, self.training)

    def weights(self, x: Tensor) -> Tensor:
        """Where each place of x (B, T, C) looks: (B, heads, T, T), each row summing to 1."""
        q, k, _ = self.questions(x)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        future = torch.ones(scores.shape[-2:], dtype=torch.bool, device=x.device).triu(1)
        return scores.masked_fill(future, -math.inf).softmax(-1)
