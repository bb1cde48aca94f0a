"""Names read whole, where every place predicts the next: for convolutions and recurrent networks. Built in lesson 7.

A window shows a network the same letter as often as windows contain it. A network that reads the whole name at once sees it once, and
answers at every place. Such a network takes names as rows and gives logits for the letters that are there, one after another.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons_lib.batches import widened
from lessons_lib.data import Vocabulary, _end, _numbers
from lessons_lib.training import evaluating

__all__ = ["NOTHING", "Padded", "from_reader", "letter_loss", "mean_letter_loss", "packed", "whole"]

NOTHING = -100  # fills rows up; what torch's cross_entropy leaves out by default


def whole(names: Iterable[str], vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """Names as rows: X (N, L) the letters read, the end mark first, and Y (N, L) the letter after each, the end mark last.

    Both int64; L is the length of the longest name and its end mark. What is left of a row is filled with NOTHING.
    X[X >= 0] and Y[Y >= 0] are the newest letters of `examples` and its answers, in its order.
    Raises as `examples` does, TypeError for a single string among others, and ValueError for no names at all.
    """
    if isinstance(names, str):
        raise TypeError(f"a list of names is wanted, and this is one string, {names[:30]!r}")
    names, end = list(names), _end(vocabulary)
    if not names:
        raise ValueError("there are no names to read")
    for name in names:
        if end in name:
            raise ValueError(f"{name!r} has the end mark {end!r} inside")
    lengths = torch.tensor([len(name) + 1 for name in names])
    there = torch.arange(int(lengths.max())) < lengths[:, None]  # (N, L)
    X, Y = (torch.full(there.shape, NOTHING, dtype=torch.int64) for _ in range(2))
    X[there] = _numbers("".join(end + name for name in names), vocabulary)
    Y[there] = _numbers("".join(name + end for name in names), vocabulary)
    return X, Y


def packed(X: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of names laid end to end: the letters (P,), and how many letters of its own name stand before each, place (P,)."""
    there = X >= 0
    places = torch.arange(X.shape[1], device=X.device).expand_as(X)
    return X[there], places[there]


def letter_loss(logits: Tensor, Y: Tensor) -> Tensor:
    """Mean cross-entropy over the letters that are there: logits (P, V), Y (N, L) filled up with NOTHING. For Training(loss=...)."""
    return F.cross_entropy(logits, Y[Y >= 0])


def mean_letter_loss(model: nn.Module, X: Tensor, Y: Tensor, batch: int = 1024) -> float:
    """The mean over all letters of all names, in nats, in eval mode. Names differ in length: a mean of means of batches would not do."""
    with evaluating(model):
        total = sum(
            F.cross_entropy(widened(model(x)), y[y >= 0], reduction="sum").double().item()
            for x, y in zip(X.split(batch), Y.split(batch), strict=True)
        )
    return total / int((Y >= 0).sum())


def from_reader(network: nn.Module, vocabulary: Vocabulary) -> Callable[[list[str]], Tensor]:
    """Such a network as a model of lessons_lib.ladder: N texts so far -> (N, V) float64 log-probabilities of what comes next.

    Each text is read from its beginning, behind an end mark; of the answers only the last is kept. Eval mode during calls.
    Raises ValueError for a vocabulary without an end mark, a character that is not in it, or logits of another shape.
    """
    end = _end(vocabulary)

    def model(texts: list[str]) -> Tensor:
        if not texts:
            return torch.empty(0, vocabulary.size, dtype=torch.float64)
        lengths = torch.tensor([len(text) + 1 for text in texts])
        X = torch.full((len(texts), int(lengths.max())), NOTHING, dtype=torch.int64)
        X[torch.arange(X.shape[1]) < lengths[:, None]] = _numbers(
            "".join(end + text for text in texts), vocabulary
        )
        with evaluating(network):
            logits = network(X)
        if logits.shape != (int(lengths.sum()), vocabulary.size):
            raise ValueError(
                f"a reader answers at each of {int(lengths.sum())} letters with {vocabulary.size} logits, and this one gave "
                f"{tuple(logits.shape)}"
            )
        return logits[lengths.cumsum(0) - 1].detach().cpu().double().log_softmax(1)

    return model


class Padded(nn.Module):
    """A network for full rows, (N, L) -> (N, L, V), as a reader of names: rows filled up with NOTHING -> logits (P, V).

    The fill is read as token 0, behind the name, where a network that does not look ahead cannot meet it. Used by lesson 8, for GPTs.
    """

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, X: Tensor) -> Tensor:
        X = X[:, : int((X >= 0).sum(1).max())]  # the longest name here may be shorter than the longest of all
        return self.network(X.clamp(min=0))[X >= 0]
