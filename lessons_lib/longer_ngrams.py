"""n-grams longer than a table can hold: only those that occur are kept. Two ways to lean, Witten and Bell's and Kneser and Ney's.

27 to the 9th is more cells than any machine here holds, and nearly all would be empty. What occurs is at most one n-gram for each
character of the names. Each is a number in base V, V being the size of the vocabulary; they stand sorted and are looked up by
bisection. What such a model says is what the tables of lessons_lib.ngrams say, where those can be made. Used from lesson 4 on.
"""

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from lessons_lib.data import Vocabulary, _end, _numbers, windows

__all__ = ["LongTable", "kneser_ney", "witten_bell"]


class Grams(NamedTuple):
    """What n characters in a row contribute: p(c | h) = kept(h, c) + left(h) p(c | h'), h' being h without its farthest."""

    cells: Tensor  # (M,) int64, sorted: the n-grams that occur
    kept: Tensor  # (M,) float64; an n-gram that does not occur has 0
    contexts: Tensor  # (K,) int64, sorted: their first n - 1 characters
    left: Tensor  # (K,) float64: what a context leaves to h'; one that does not occur leaves all, 1


class LongTable:
    """A model of lessons_lib.ladder, N texts so far -> (N, V) float64 log-probabilities of what comes next, made of counts.

    letters: how many characters it looks back. stored: how many counts it keeps, those of all shorter memories included.
    Made by `witten_bell` and `kneser_ney`.
    """

    def __init__(self, lengths: list[Grams], vocabulary: Vocabulary):
        self.lengths, self.vocabulary = lengths, vocabulary
        self.letters = len(lengths) - 1
        self.stored = sum(len(grams.cells) for grams in lengths)

    def __call__(self, texts: list[str]) -> Tensor:
        padding, size = _end(self.vocabulary) * self.letters, self.vocabulary.size
        tails = "".join((padding + text)[len(text) :] for text in texts)
        contexts = _numbers(tails, self.vocabulary).view(len(texts), self.letters)
        # Every context with every character after it.
        after = torch.arange(size).repeat(len(texts))[:, None]
        rows = torch.cat([contexts.repeat_interleave(size, 0), after], 1)
        return -self.costs(rows).view(len(texts), size)

    def costs(self, rows: Tensor) -> Tensor:
        """What the last character of each row costs after those before it, in nats: (N, letters + 1 or more) -> (N,) float64.

        The rows are those of `lessons_lib.data.windows`. inf where the probability is 0. Raises ValueError for rows that are too
        short, or have a number that is none of the vocabulary's.
        """
        if rows.dim() != 2 or rows.shape[1] <= self.letters:
            raise ValueError(
                f"with {self.letters} letters of memory a row has {self.letters + 1} characters or more, and these "
                f"have the shape {tuple(rows.shape)}"
            )
        size = self.vocabulary.size
        if len(rows) and not (rows.min() >= 0 and rows.max() < size):
            raise ValueError(f"the numbers of {size} characters go from 0 to {size - 1}")
        probabilities = torch.full((len(rows),), 1 / size, dtype=torch.float64)
        for n, grams in enumerate(self.lengths, start=1):
            cells = _cells(rows, n, size)
            probabilities *= _look_up(grams.contexts, grams.left, cells // size, otherwise=1.0)
            probabilities += _look_up(grams.cells, grams.kept, cells, otherwise=0.0)
        return -probabilities.log()

    def loss(self, names: Iterable[str]) -> float:
        """Mean cost per character, in nats, as `lessons_lib.ngrams.loss` has it. Raises as `windows` does, and without names."""
        rows = windows(names, self.letters + 1, self.vocabulary)
        if not len(rows):
            raise ValueError("there are no names to evaluate on")
        return self.costs(rows).mean().item()


# The two ways to lean.


def witten_bell(names: Iterable[str], letters: int, vocabulary: Vocabulary) -> LongTable:
    """`lessons_lib.ngrams.witten_bell` for any memory: a context that many different characters followed leans more.

        p(c | h) = (count(h, c) + T(h) p(c | h')) / (count(h) + T(h)), T(h) different characters having followed h

    Raises as `windows` does, and ValueError for letters below 0 or more than a 64-bit number can spell, 12 with 27 characters.
    Witten and Bell, The zero-frequency problem, IEEE Transactions on Information Theory 37 (1991), method C.
    """
    rows, size, lengths = _rows(names, letters, vocabulary), vocabulary.size, []
    for n in range(1, letters + 2):
        cells, times = _cells(rows, n, size).unique(return_counts=True)
        contexts, context_of, visits, kinds = _by_context(cells, times, size)
        whole = (visits + kinds).double()
        lengths.append(Grams(cells, times / whole[context_of], contexts, kinds / whole))
    return LongTable(lengths, vocabulary)


def kneser_ney(
    names: Iterable[str], letters: int, vocabulary: Vocabulary, discount: float = 0.9
) -> LongTable:
    """Lean on shorter memories that have counted something else: not how often an n-gram came, but after how many characters.

        p(c | h) = (max(count(h, c) - discount, 0) + discount T(h) p(c | h')) / count(h)

    The longest memory has the counts themselves. In each shorter one count(h, c) is how many different characters have stood
    before "h c", and count(h) the sum of that over c: a shorter memory is asked where the longer one is at a loss, so what matters
    is in how many places its n-gram has turned up. T(h) and h' as in `witten_bell`, and so are the errors; the discount is the same
    for all lengths, and ValueError is raised where it is not from 0 to 1.

    Kneser and Ney, Improved backing-off for m-gram language modeling, ICASSP 1995; interpolated as in Chen and Goodman, An empirical
    study of smoothing techniques for language modeling, Computer Speech and Language 13 (1999).
    """
    if not 0 <= discount <= 1:
        raise ValueError(f"a discount is taken off counts of 1 and more: from 0 to 1, and it is {discount}")
    rows, size, lengths = _rows(names, letters, vocabulary), vocabulary.size, []
    for n in range(1, letters + 2):
        if n == letters + 1:
            cells, times = _cells(rows, n, size).unique(return_counts=True)
        else:  # each of the longer n-grams once, without its first character
            cells, times = (_cells(rows, n + 1, size).unique() % size**n).unique(return_counts=True)
        contexts, context_of, visits, kinds = _by_context(cells, times, size)
        kept = (times.double() - discount) / visits[context_of]
        lengths.append(Grams(cells, kept, contexts, discount * kinds.double() / visits))
    return LongTable(lengths, vocabulary)


# n-grams as numbers.


def _rows(names: Iterable[str], letters: int, vocabulary: Vocabulary) -> Tensor:
    if letters < 0:
        raise ValueError(f"a memory has 0 letters or more, and this one has {letters}")
    if vocabulary.size ** (letters + 1) >= 2**63:
        raise ValueError(
            f"{letters + 1} characters out of {vocabulary.size} are more than a 64-bit number can spell"
        )
    return windows(names, letters + 1, vocabulary)


def _cells(rows: Tensor, n: int, size: int) -> Tensor:
    """The last n characters of each row, (N, n or more), as a number in base `size`: (N,)."""
    return (rows[:, -n:] * size ** torch.arange(n - 1, -1, -1)).sum(1)


def _by_context(cells: Tensor, times: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Contexts (K,), the place of each cell's context among them (M,), and of each context (K,): its total, its followers."""
    contexts, context_of = (cells // size).unique(return_inverse=True)
    visits = torch.zeros_like(contexts).index_add(0, context_of, times)
    return contexts, context_of, visits, context_of.bincount(minlength=len(contexts))


def _look_up(keys: Tensor, values: Tensor, wanted: Tensor, otherwise: float) -> Tensor:
    """values[i] where keys[i] == wanted, and `otherwise` where no key does; the keys are sorted."""
    if not len(keys):
        return torch.full(wanted.shape, otherwise, dtype=values.dtype)
    places = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return torch.where(keys[places] == wanted, values[places], otherwise)
