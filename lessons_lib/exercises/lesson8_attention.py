"""The checks of lesson 8 about attention: the mean of the past, the mask, one head and several; 8.5 to 8.8.

What is right is computed place by place, as a loop would; what it is mistaken for stands beside it, as the tensor that comes out.
"""

import math
from itertools import permutations

import torch
from torch import Tensor

from lessons_lib.exercises.engine import NotYet, call, expect_tensor, show_call


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Normal numbers that depend on the seed alone."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)


def expect(got, wanted: Tensor, seen: str, mistakes: list[tuple[Tensor, str]], floats: torch.dtype) -> None:
    """`expect_tensor` with the tolerance of the dtype, and a word about nan, which no mistake in the list has."""
    tolerance = 1e-4 if floats == torch.float32 else 1e-8
    try:
        expect_tensor(got, wanted, seen, mistakes, tolerance)
    except NotYet as told:
        broken = isinstance(got, Tensor) and got.is_floating_point() and bool(got.isnan().any())
        named = broken and any(str(told).endswith(name) for _, name in mistakes)
        if broken and not named:
            raise NotYet(
                f"{told} There is nan in it: a row in which all is -inf, or exp of a number that is too large."
            ) from None
        raise


# 8.5


def average_past(answer):
    """8.5: average_past(x), at each place the mean of it and of all before it."""
    for x in (
        torch.tensor([[[1.0, 2.0], [3.0, 6.0]], [[8.0, 0.0], [2.0, 5.0]]], dtype=torch.float64),
        normal(1, 1, 2, seed=0),
        normal(2, 4, 3, seed=1),
        normal(3, 3, 3, seed=2),
        normal(3, 7, 5, seed=3, dtype=torch.float32),
    ):
        B, T, C = x.shape
        wanted = torch.stack([x[:, : t + 1].mean(1) for t in range(T)], dim=1)
        sums, counts = x.cumsum(1), torch.arange(1, T + 1, dtype=x.dtype)[:, None]
        below = torch.ones(T, T, dtype=x.dtype).tril()
        excluded = (sums - x) / (counts - 1)
        there = counts > 1
        mistakes = [
            (sums, "Those are sums: divide each by the number of places in it."),
            (sums / T, "You divided by T everywhere; at place t there are t + 1 numbers in the sum."),
            (
                x.mean(1, keepdim=True).expand(B, T, C),
                "That is the mean of the whole row, at every place: it has seen what is yet to come.",
            ),
            (x.flip(1).cumsum(1).div(counts).flip(1), "That is the future: the mean of each place and all after it."),
            (excluded, "The place itself is missing, and at the first one nothing is left to average."),
            (torch.where(there, excluded, 0.0), "The place itself is missing from its mean."),
            (torch.where(there, excluded, x), "The place itself is missing from its mean."),
            (below / below.sum(1) @ x, "The matrix was divided by its row sums along the wrong axis, and its rows no longer sum to 1: keepdim?"),
            (below / below.sum(0, keepdim=True) @ x, "The columns of your matrix sum to 1; its rows should, each of which makes one place."),
            ((below / below.sum(1, keepdim=True)).T @ x, "The matrix is turned over: row t says what place t takes from whom."),
            (x.cumsum(0) / torch.arange(1, B + 1, dtype=x.dtype)[:, None, None], "You averaged over the examples of the batch; time runs along axis 1."),
            (x.cumsum(2) / torch.arange(1, C + 1, dtype=x.dtype), "You averaged over the channels; time runs along axis 1."),
            (torch.cat([x[:, :1], (x[:, 1:] + x[:, :-1]) / 2], 1), "Only the place before is in it; all that came before are wanted."),
            (x.mean(1), "That is one mean for the whole row; each place gets its own."),
            (x, "That is x itself."),
        ]  # fmt: skip
        expect(call(answer, x), wanted, show_call(answer, x), mistakes, x.dtype)
    return "A sum over the past is a matrix with nothing above its diagonal. All that attention will change is who decides its numbers."


# 8.6


def future(T: int) -> Tensor:
    """True where the column is later than the row."""
    places = torch.arange(T)
    return places[None, :] > places[:, None]


def masked_weights(answer):
    """8.6: masked_weights(scores), each row a softmax over itself and the past."""
    for scores in (
        torch.tensor([[0.0, 5.0], [1.0, 0.0]], dtype=torch.float64),
        torch.zeros(3, 3, dtype=torch.float64),
        normal(2, 4, 4, seed=0),
        normal(3, 3, 3, seed=1),
        2 * normal(2, 3, 5, 5, seed=2),
        normal(4, 2, 4, 4, seed=3, dtype=torch.float32),
        normal(2, 1, 1, seed=4),
        900 * normal(1, 2, 6, 6, seed=5),
    ):
        T = scores.shape[-1]
        hidden = future(T)
        wanted = torch.zeros_like(scores)
        for t in range(T):
            wanted[..., t, : t + 1] = scores[..., t, : t + 1].softmax(-1)
        masked = scores.masked_fill(hidden, -math.inf)
        plain = scores.softmax(-1)
        mistakes = [
            (plain, "Nothing is masked: every place sees its future."),
            (plain.masked_fill(hidden, 0), "You masked after the softmax, so the rows no longer sum to 1: what was taken away has to be shared out."),
            (scores.masked_fill(hidden, 0).softmax(-1), "A score of 0 is no prohibition: exp(0) is 1. Masked is -inf."),
            (scores.masked_fill(hidden.T, -math.inf).softmax(-1), "You masked the past, and the future is open. Row t may see the columns up to t."),
            (
                scores.masked_fill(~hidden.T, -math.inf).softmax(-1),
                "A place may see itself, too: your mask takes the diagonal away, and the first row has nothing left.",
            ),
            (
                torch.where(hidden.T, scores.masked_fill(~hidden.T, -math.inf).softmax(-1), 0.0),
                "A place may see itself, too: your mask takes the diagonal away, and the first row has nothing left.",
            ),
            (masked.softmax(-2), "The softmax is over columns: each row is one place that looks, and its weights sum to 1."),
            (scores.softmax(-2), "Nothing is masked, and the softmax is over columns."),
            (masked, "Those are the masked scores: the softmax is missing."),
            (masked.log_softmax(-1), "Those are logarithms; the weights themselves were asked for."),
            (wanted.mT, "Rows and columns have changed places."),
            (~hidden / torch.arange(1, T + 1, dtype=scores.dtype)[:, None] + 0 * scores, "That is the mean of the past, whatever the scores are."),
        ]  # fmt: skip
        if scores.dim() > 2:
            mistakes += [
                (masked.softmax(axis), f"The softmax is over axis {axis}; the last one has the places that are looked at.")
                for axis in range(scores.dim() - 2)
            ]  # fmt: skip
        expect(call(answer, scores), wanted, show_call(answer, scores), mistakes, scores.dtype)
    return "Minus infinity is an honest prohibition: the weight is 0 exactly, and the gradient that would come back through it, too."


# 8.7


def seen_by(q, k, v, scale=None, mask=True, over=-1) -> Tensor:
    """Attention in one piece; scale divides the products."""
    scores = q @ k.mT / (math.sqrt(q.shape[-1]) if scale is None else scale)
    scores = scores.masked_fill(future(scores.shape[-1]), -math.inf) if mask else scores
    return scores.softmax(over) @ v


def place_by_place(q, k, v) -> Tensor:
    """Attention as a loop: each place weighs itself and what came before."""
    out = torch.zeros_like(v)
    for t in range(q.shape[2]):
        scores = (q[:, :, t, None] * k[:, :, : t + 1]).sum(-1) / math.sqrt(q.shape[-1])
        out[:, :, t] = (scores.softmax(-1)[..., None] * v[:, :, : t + 1]).sum(2)
    return out


def exchanged(q, k, v, axis) -> Tensor:
    """Attention along another axis than that of time."""
    return seen_by(q.transpose(axis, 2), k.transpose(axis, 2), v.transpose(axis, 2)).transpose(axis, 2)


def attend(answer):
    """8.7: attend(q, k, v), causal attention, scaled."""
    for B, H, T, D, dtype in (
        (1, 2, 2, 3, torch.float64),
        (2, 3, 5, 4, torch.float64),
        (2, 2, 2, 2, torch.float64),
        (3, 4, 1, 2, torch.float64),
        (2, 4, 6, 3, torch.float32),
        (4, 2, 8, 16, torch.float64),
    ):
        q, k, v = (normal(B, H, T, D, seed=10 * T + place, dtype=dtype) for place in range(3))
        wanted = place_by_place(q, k, v)
        mistakes = [
            (seen_by(q, k, v, 1), "The products are not scaled: divide them by the square root of the head size."),
            (seen_by(q, k, v, D), "You divided by the head size D; its square root is what keeps the spread at 1."),
            (seen_by(q, k, v, 1 / math.sqrt(D)), "You multiplied by the square root of the head size; divide by it."),
            (seen_by(q, k, v, math.sqrt(H * D)), "You scaled by the width of all heads, H times D. A product sums over the D of one head: scale by that."),
            (seen_by(q, k, v, math.sqrt(T)), "You scaled by the number of places; what the products sum over is D."),
            (seen_by(q, k, v, mask=False), "The mask is missing: every place has seen its future."),
            (seen_by(q, k, v, 1, mask=False), "Mask and scale are missing."),
            (seen_by(q, k, v, over=-2), "The softmax is over the queries; each query's row of weights sums to 1."),
            (seen_by(k, q, v), "Queries and keys have changed places: row t of the weights belongs to query t."),
            (seen_by(q, k, k), "What is averaged are the values, and yours are the keys."),
            (seen_by(q, v, v), "Values stand where the keys should."),
            (seen_by(v, k, q), "Queries and values have changed places."),
            (exchanged(q, k, v, 1), "You attended along axis 1, from head to head; time runs along axis 2."),
            (exchanged(q, k, v, 0), "You attended along axis 0, from example to example; time runs along axis 2."),
            (seen_by(q, k, torch.eye(T, dtype=dtype).expand(B, H, T, T)), "Those are the weights; multiply the values by them."),
            (
                (q @ k.mT / math.sqrt(D)).masked_fill(future(T), 0) @ v,
                "The softmax is missing: those are the raw products.",
            ),
            ((q @ k.mT / math.sqrt(D)).softmax(-1).tril() @ v, "You masked after the softmax, so the rows no longer sum to 1."),
            ((q @ k.mT / math.sqrt(D)).tril().softmax(-1) @ v, "A score of 0 is no prohibition: exp(0) is 1. Masked is -inf."),
            (wanted.transpose(1, 2), "The axes are turned: (B, H, T, D) was asked for."),
            (wanted.transpose(1, 2).reshape(B, T, H * D), "The heads are joined already; that is the next exercise. Here it is (B, H, T, D)."),
        ]  # fmt: skip
        seen = f"{answer.__name__}(q, k, v), each of shape {(B, H, T, D)},"
        expect(call(answer, q, k, v), wanted, seen, mistakes, dtype)
    return "With unscaled products of 64 numbers the softmax would have made up its mind before it had learned anything."


# 8.8


def several(
    x, weight, out, heads, order=(0, 1, 2), view="right", merge="right", scale=None, mask=True, once=False
):
    """Multi-head attention, and by its keywords what is often made of it."""
    B, T, C = x.shape
    D = C // heads
    all_three = x @ weight.T
    match view:
        case "per head":  # q, k and v of the first head, then of the second
            parts = all_three.view(B, T, heads, 3, D).permute(3, 0, 2, 1, 4)
        case "interleaved":
            parts = all_three.view(B, T, 3, D, heads).permute(2, 0, 4, 1, 3)
        case "no transpose":
            parts = torch.stack([one.reshape(B, heads, T, D) for one in all_three.chunk(3, -1)])
        case _:
            parts = torch.stack([one.view(B, T, heads, D).transpose(1, 2) for one in all_three.chunk(3, -1)])
    heard = seen_by(*(parts[place] for place in order), scale, mask)
    match merge:
        case "no transpose":
            joined = heard.reshape(B, T, C)
        case "interleaved":
            joined = heard.permute(0, 2, 3, 1).reshape(B, T, C)
        case _:
            joined = heard.transpose(1, 2).reshape(B, T, C)
    return joined if once else joined @ out.T


def one_by_one(x, weight, out, heads) -> Tensor:
    """Multi-head attention as a loop over heads, each with its own rows of `weight`."""
    C = x.shape[2]
    D, heard = C // heads, []
    for head in range(heads):
        rows = [weight[start + head * D : start + (head + 1) * D] for start in (0, C, 2 * C)]
        heard.append(place_by_place(*((x @ row.T)[:, None] for row in rows))[:, 0])
    return torch.cat(heard, dim=-1) @ out.T


def multi_head(answer):
    """8.8: multi_head(x, weight, out, heads), the lecturer's: heads as a batch dimension."""
    for B, T, C, heads, dtype in (
        (1, 3, 4, 2, torch.float64),
        (1, 2, 3, 1, torch.float64),
        (2, 2, 4, 2, torch.float64),
        (2, 5, 6, 3, torch.float64),
        (3, 4, 8, 4, torch.float32),
        (2, 1, 6, 2, torch.float64),
    ):
        x = normal(B, T, C, seed=C + T, dtype=dtype)
        weight = normal(3 * C, C, seed=C + T + 1, dtype=dtype)
        out = normal(C, C, seed=C + T + 2, dtype=dtype)
        given = x, weight, out, heads
        D = C // heads
        mistakes = [
            (several(*given, once=True), "The last matrix is missing: `out` mixes what the heads have found."),
            (several(x, weight, out.T, heads), "`out` is not transposed: torch keeps (outputs, inputs), also where a matrix is square."),
            (
                several(*given, view="no transpose"),
                "You viewed (B, T, C) as (B, heads, T, D) at once, which mixes places and channels. View it as (B, T, heads, D), and then "
                "transpose.",
            ),
            (
                several(*given, view="no transpose", merge="no transpose"),
                "You viewed (B, T, C) as (B, heads, T, D) at once, which mixes places and channels. View it as (B, T, heads, D), and then "
                "transpose.",
            ),
            (
                several(*given, merge="no transpose"),
                "The heads were joined without turning their axes back: (B, H, T, D) becomes (B, T, H, D) first, and then (B, T, C).",
            ),
            (
                several(*given, view="interleaved", merge="interleaved"),
                "The heads are interleaved: the first head has the first D channels, and not every so-and-so-many-th.",
            ),
            (
                several(*given, view="interleaved"),
                "The heads are interleaved: the first head has the first D channels, and not every so-and-so-many-th.",
            ),
            (several(*given, merge="interleaved"), "The joined channels are interleaved: all D of the first head come first."),
            (
                several(*given, view="per head"),
                "You took q, k and v head by head out of `weight`: it has all queries first, then all keys, then all values.",
            ),
            (several(*given, scale=math.sqrt(C)), "You scaled by the width C; a product sums over the D = C / heads of one head."),
            (several(*given, scale=1), "The products are not scaled: divide by the square root of the head size."),
            (several(*given, scale=D), "You divided by the head size; its square root is meant."),
            (several(*given, mask=False), "The mask is missing: every place has seen its future."),
            (several(x, weight, out, 1), "That is one head as wide as the stream: `heads` is not used."),
            (several(x, weight.reshape(C, 3 * C).T, out, heads), "`weight` has the shape (3C, C), outputs first: transpose it, instead of viewing it anew."),
            (
                torch.cat([seen_by(*(one[..., h * D : (h + 1) * D] for one in (x @ weight.T).chunk(3, -1))) for h in range(heads)], 1).mT @ out.T
                if T * heads == C else x,
                "The heads were joined one above the other; they stand side by side.",
            ),
        ]  # fmt: skip
        mistakes += [
            (several(*given, order=order), "`weight` gives the queries first, then the keys, then the values; in yours they have another order.")
            for order in permutations(range(3)) if order != (0, 1, 2)
        ]  # fmt: skip
        seen = f"{answer.__name__}(x of shape {(B, T, C)}, weight, out, heads={heads})"
        expect(call(answer, *given), one_by_one(*given), seen, mistakes, dtype)
    return "Four heads cost what one wide head costs. To the matrix product they are four more examples."


CHECKS = {
    "8.5": average_past,
    "8.6": masked_weights,
    "8.7": attend,
    "8.8": multi_head,
}
