"""Counting models: what followed these letters before, and how often. Built in lesson 2.

An n-gram is n characters in a row. Counted over many names, n-grams say which character follows which n - 1 others, and that is
a language model already. Everything here is a table over an alphabet of V characters with V in every direction, (V,) for n = 1,
(V, V) for bigrams: the last axis is the character to come, the axes before it are its context, the nearest character last.
Both sides of a name are the vocabulary's end mark, '.' with number 0: n - 1 of them before its first letter, one after its last.
"""

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from lessons_lib.data import Vocabulary, _end, _numbers, windows

__all__ = ["add_k", "as_model", "count", "floor", "loss", "witten_bell"]

CELLS = 100_000_000  # the largest table that `count` makes: 0.8 GB; 5-grams of 27 characters need 14,348,907


# From names to counts.


def count(names: Iterable[str], n: int, vocabulary: Vocabulary) -> Tensor:
    """How often each n-gram occurs: (V,) * n int64. Raises as `windows` does, and ValueError for a table above CELLS cells.

    `counts.sum(0)` forgets the farthest character: it is exactly the table of n - 1.
    """
    rows, size = windows(names, n, vocabulary), vocabulary.size
    if size**n > CELLS:
        raise ValueError(
            f"a table of {n}-grams over {size} characters has {size**n:,} cells, {8 * size**n / 1e9:,.1f} GB: "
            f"more than {CELLS:,} are not made here"
        )
    # A row of n digits in base V is the number of its cell.
    cells = (rows * size ** torch.arange(n - 1, -1, -1)).sum(1)
    return torch.bincount(cells, minlength=size**n).view((size,) * n)


# From counts to probabilities.


def add_k(counts: Tensor, k: float) -> Tensor:
    """Pretend that everything was seen k times more, then divide: (V,) * n float64, summing to 1 along the last axis.

    With k = 0 a context that never occurred has nothing to divide by, and its row is nan. A large k makes all rows equal.
    Raises ValueError for a k that is negative or not finite.
    """
    if not 0 <= k < math.inf:
        raise ValueError(f"k must be 0 or more, and finite; it is {k}")
    probabilities = counts.to(torch.float64, copy=True)  # a copy even of counts that are float64 already
    probabilities += k
    probabilities /= probabilities.sum(-1, keepdim=True)
    return probabilities


def witten_bell(counts: Tensor) -> Tensor:
    """Let every context ask the one that is a character shorter: (V,) * n float64, summing to 1 along the last axis, never 0.

        p(c | h) = (count(h, c) + T(h) p(c | h')) / (count(h) + T(h))

    h' is h without its farthest character, and T(h) how many different characters followed h: where much that was new came, more
    is to be expected. A context that never occurred leaves the answer to h'; below single characters all are equally likely.

    Witten and Bell, The zero-frequency problem, IEEE Transactions on Information Theory 37 (1991), method C; interpolated as in
    Chen and Goodman, An empirical study of smoothing techniques for language modeling, Computer Speech and Language 13 (1999).
    """
    if counts.dim() == 0:
        raise ValueError("a table of counts has at least one axis, and this is a single number")
    if counts.dim() == 1:
        shorter = torch.full(counts.shape, 1 / len(counts), dtype=torch.float64)
    else:
        shorter = witten_bell(counts.sum(0))
    # (..., 1). Where nothing followed any number above 0 will do: it is multiplied in and divided out again.
    kinds = (counts > 0).sum(-1, keepdim=True).clamp(min=1)
    probabilities = kinds * shorter  # broadcast along the first axis: one h' answers for all h that end in it
    probabilities += counts  # in place, here and below: a table of 5-grams is 115 MB
    probabilities /= kinds + counts.sum(-1, keepdim=True)
    return probabilities


# What they are worth.


def loss(probabilities: Tensor, names: Iterable[str], vocabulary: Vocabulary) -> float:
    """Mean negative log-likelihood per character, in nats, summed in float64; the end of a name is a character.

    inf where a character that comes has probability 0; nan where a name passes through a row of nan.
    Raises as `windows` does, and ValueError where there are no names or the table does not fit the vocabulary.
    """
    _check_table(probabilities, vocabulary)
    rows = windows(names, probabilities.dim(), vocabulary)
    if not len(rows):
        raise ValueError("there are no names to evaluate on")
    return -probabilities[rows.unbind(1)].double().log().mean().item()


def floor(names: Iterable[str], k: int, vocabulary: Vocabulary) -> float:
    """The conditional entropy of these names, in nats: what a character still costs who knows exactly how the k before it go on.

    No model that sees k characters of context has a lower loss on these same names; on others one may. Raises as `windows` does,
    and ValueError for k below 0 or where there are no names.
    """
    if k < 0:
        raise ValueError(f"a context has 0 characters or more, and k is {k}")
    rows = windows(names, k + 1, vocabulary)
    if not len(rows):
        raise ValueError("there are no names to find the floor of")
    # Contexts get numbers, a character at a time, and new ones each time, so that k may be large. No table is needed.
    contexts = torch.zeros_like(rows[:, 0])
    for characters in rows[:, :-1].unbind(1):
        _, contexts = (contexts * vocabulary.size + characters).unique(return_inverse=True)

    def information(events: Tensor) -> float:
        """Sum of N log N over the numbers of times, N, that the events occur."""
        times = events.unique(return_counts=True)[1].double()
        return (times * times.log()).sum().item()

    both = contexts * vocabulary.size + rows[:, -1]
    return max(0.0, (information(contexts) - information(both)) / len(rows))


def as_model(probabilities: Tensor, vocabulary: Vocabulary) -> Callable[[list[str]], Tensor]:
    """The table as a model of lessons_lib.ladder: N texts so far -> (N, V) float64 log-probabilities of what comes next.

    Raises ValueError where the table does not fit the vocabulary, or that has no end mark.
    """
    _check_table(probabilities, vocabulary)
    padding = _end(vocabulary) * (probabilities.dim() - 1)

    def model(contexts: list[str]) -> Tensor:
        # Cutting as many characters from the front as the context has leaves as many as the padding has.
        tails = "".join((padding + context)[len(context) :] for context in contexts)
        rows = _numbers(tails, vocabulary).view(len(contexts), len(padding))
        return probabilities[rows.unbind(1)].double().log().expand(len(contexts), -1)

    return model


def _check_table(probabilities: Tensor, vocabulary: Vocabulary) -> None:
    if probabilities.dim() == 0 or set(probabilities.shape) != {vocabulary.size}:
        raise ValueError(
            f"a table for {vocabulary.size} characters has that many in every direction, and this one has shape "
            f"{tuple(probabilities.shape)}"
        )
