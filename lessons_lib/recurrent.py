"""Recurrent cells: a state, a letter, and what the state becomes. Built in lesson 7; lesson 5 has the plain one in passing.

Torch has both as nn.RNNCell and nn.GRUCell. These are ours, in a few lines each, with torch's equations and its order of the gates, so
that weights can be carried over; tests hold them equal to 1e-6, gradients included.
"""

import torch
from torch import Tensor, nn

__all__ = ["GRUCell", "RNNCell", "Recurrent"]


class RNNCell(nn.Module):
    """h' = tanh(W x + U h): (B, inputs), (B, hidden) -> (B, hidden). Elman, Finding structure in time, 1990."""

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.hidden = hidden
        self.read = nn.Linear(inputs, hidden)
        self.keep = nn.Linear(hidden, hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        return (self.read(x) + self.keep(h)).tanh()


class GRUCell(nn.Module):
    """The gated recurrent unit: (B, inputs), (B, hidden) -> (B, hidden).

    A gate `update` says, number by number, how much of the old state stays; a gate `reset`, how much of it is asked for when the
    new one is proposed. Where `update` is 1 the state passes unchanged, and so does its gradient. Cho and others, 2014 (arXiv
    1406.1078), in torch's form, in which `reset` is applied after the matrix and not before.
    """

    def __init__(self, inputs: int, hidden: int):
        super().__init__()
        self.hidden = hidden
        self.read = nn.Linear(inputs, 3 * hidden)
        self.keep = nn.Linear(hidden, 3 * hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        reset_x, update_x, new_x = self.read(x).chunk(3, dim=-1)
        reset_h, update_h, new_h = self.keep(h).chunk(3, dim=-1)
        reset = (reset_x + reset_h).sigmoid()
        update = (update_x + update_h).sigmoid()
        proposed = (new_x + reset * new_h).tanh()
        return update * h + (1 - update) * proposed


class Recurrent(nn.Module):
    """A network that reads names letter by letter with one of the cells above, and says after each what may come next.

    X (N, L) int64, names as rows, filled up with numbers below 0 (lessons_lib.reading.whole) -> (P, letters) logits, one row for each
    letter that is there, in reading order. A name that has ended is taken out of the batch, so that nothing is computed for the filling.
    """

    def __init__(self, cell: RNNCell | GRUCell, letters: int, embedding: int, dropout: float = 0.0):
        super().__init__()
        self.embedding = nn.Embedding(letters, embedding)
        self.cell = cell
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(cell.hidden, letters)

    def forward(self, X: Tensor) -> Tensor:
        there = X >= 0
        order = there.sum(1).argsort(descending=True, stable=True)  # long names first
        going_on = there.sum(0).tolist()  # how many names have a letter at each place
        emb = self.embedding(X[order].clamp(min=0))  # (N, L, embedding)
        h = emb.new_zeros(len(X), self.cell.hidden)
        states = []
        for place, count in enumerate(going_on):
            h = self.cell(emb[:count, place], h[:count])
            states.append(h)
        # The states stand place by place, long names first; they go back into reading order.
        rank = torch.empty_like(order)
        rank[order] = torch.arange(len(X), device=X.device)
        before = there.sum(0).cumsum(0) - there.sum(0)  # (L,) states in front of those of each place
        return self.out(self.dropout(torch.cat(states)[(before + rank[:, None])[there]]))
