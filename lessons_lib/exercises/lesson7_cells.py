"""The checks of lesson 7 about recurrent cells, 7.8 and 7.9, against torch's equations written out."""

import torch
from torch import Tensor

from lessons_lib.exercises.engine import call, expect_tensor

SIZES = ((1, 1, 2), (1, 2, 2), (3, 3, 3), (2, 5, 4), (4, 2, 7))  # examples, inputs, hidden


def problems(gates: int):
    """x, h, W_x, b_x, W_h, b_h of several sizes, 64-bit, and how the call is written in a message."""
    for seed, (examples, inputs, hidden) in enumerate(SIZES):
        generator = torch.Generator().manual_seed(seed)
        shapes = (
            (examples, inputs),
            (examples, hidden),
            (gates * hidden, inputs),
            (gates * hidden,),
            (gates * hidden, hidden),
            (gates * hidden,),
        )
        given = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
        yield given, f"(x of shape {shapes[0]}, h of shape {shapes[1]}, W_x of shape {shapes[2]}, ...)"


def plain(x, h, W_x, b_x, W_h, b_h):
    return (x @ W_x.T + b_x + h @ W_h.T + b_h).tanh()


def rnn_step(answer):
    """7.8: rnn_step(x, h, W_x, b_x, W_h, b_h), as nn.RNNCell computes it."""
    for given, shown in problems(gates=1):
        x, h, W_x, b_x, W_h, b_h = given
        wanted = plain(*given)
        inside = x @ W_x.T + b_x + h @ W_h.T + b_h
        none = torch.zeros_like(b_x)
        mistakes = [
            (inside, "The tanh is missing: without it the state grows from letter to letter."),
            (inside.sigmoid(), "A sigmoid stands where torch has a tanh: a state may be negative."),
            (inside.relu(), "A ReLU stands where torch has a tanh."),
            (plain(x, h, W_x, none, W_h, none), "Both biases are missing."),
            (plain(x, h, W_x, none, W_h, b_h), "b_x is missing: torch keeps two biases, and adds both."),
            (plain(x, h, W_x, b_x, W_h, none), "b_h is missing: torch keeps two biases, and adds both."),
            (plain(x, 0 * h, W_x, b_x, W_h, b_h), "The old state is not in it: that network forgets all."),
            (
                plain(0 * x, h, W_x, b_x, W_h, b_h),
                "The letter is not in it: that network does not listen.",
            ),
            (
                (x @ W_x.T + b_x).tanh() + (h @ W_h.T + b_h).tanh(),
                "Two tanh and then a sum; it is a sum and then one tanh.",
            ),
            (
                (x @ W_x.T + b_x + (h @ W_h.T + b_h).tanh()),
                "The tanh is over the memory alone; it goes over the sum.",
            ),
            (h + wanted, "The old state was added once more; in this cell it comes in by its matrix alone."),
        ]
        turned = "is not transposed: torch keeps (outputs, inputs), also where a matrix is square."
        mistakes.append((plain(x, h, W_x, b_x, W_h.T, b_h), f"W_h {turned}"))
        if W_x.shape[0] == W_x.shape[1]:
            mistakes.append((plain(x, h, W_x.T, b_x, W_h, b_h), f"W_x {turned}"))
            mistakes.append((plain(x, h, W_h, b_x, W_x, b_h), "The two matrices have changed places."))
        expect_tensor(call(answer, *given), wanted, f"{answer.__name__}{shown}", mistakes, tolerance=1e-9)
    return "One product for the letter, one for the memory, and no window at all: what is kept, the cell decides."


def gated(
    x: Tensor,
    h: Tensor,
    W_x: Tensor,
    b_x: Tensor,
    W_h: Tensor,
    b_h: Tensor,
    order=(0, 1, 2),
    gate=torch.sigmoid,
    bend=torch.tanh,
    exchanged=False,
    reset_at="memory",
    use_update=True,
) -> Tensor:
    """torch's GRU, and what is often made of it. order: which third is reset, which update, which new."""
    read, keep = (x @ W_x.T + b_x).chunk(3, -1), (h @ W_h.T + b_h).chunk(3, -1)
    r, u, n = order
    reset, update = gate(read[r] + keep[r]), gate(read[u] + keep[u])
    match reset_at:
        case "memory":
            inside = read[n] + reset * keep[n]
        case "state":
            inside = read[n] + (reset * h) @ W_h.chunk(3)[n].T + b_h.chunk(3)[n]
        case "product":
            inside = read[n] + reset * (keep[n] - b_h.chunk(3)[n]) + b_h.chunk(3)[n]
        case "both":
            inside = reset * (read[n] + keep[n])
        case "letter":
            inside = reset * read[n] + keep[n]
        case "nowhere":
            inside = read[n] + keep[n]
    proposed = bend(inside)
    if not use_update:
        return proposed
    return update * proposed + (1 - update) * h if exchanged else update * h + (1 - update) * proposed


def wrongly_gated(given):
    """(outcome, name) of the usual mistakes in a GRU."""
    x, h, W_x, b_x, W_h, b_h = given
    none = torch.zeros_like(b_x)
    yield (
        gated(*given, order=(1, 0, 2)),
        "The two gates have changed places: the first third is reset, the second update.",
    )
    yield (
        gated(*given, exchanged=True),
        "update and 1 - update have changed places: in torch's form update is how much of the old state stays. "
        "(Some papers write it the other way.)",
    )
    yield (
        gated(*given, order=(1, 0, 2), exchanged=True),
        "Two things: the gates have changed places, and so have update and 1 - update.",
    )
    yield (
        gated(*given, reset_at="state"),
        "That is a GRU, and the paper's: reset times the old state, and then the matrix. torch multiplies after the matrix, "
        "and the weights of one do not fit the other.",
    )
    yield (
        gated(*given, reset_at="state", exchanged=True),
        "That is a GRU, and the paper's, with update the other way round; torch multiplies by reset after the matrix, and "
        "its update is how much of the old state stays.",
    )
    yield (
        gated(*given, reset_at="product"),
        "reset multiplies the memory's part with its bias, and in yours the bias stands outside.",
    )
    yield (
        gated(*given, reset_at="both"),
        "reset multiplies what the memory says, and not what the letter says.",
    )
    yield gated(*given, reset_at="letter"), "reset is on the letter's part; it belongs to the memory's."
    yield gated(*given, reset_at="nowhere"), "reset is not used."
    yield (
        gated(*given, use_update=False),
        "update is not used: the proposal became the state, and nothing of the old one is kept.",
    )
    yield (
        gated(*given, gate=torch.tanh),
        "The gates are a tanh; a gate is between 0 and 1, and that is a sigmoid.",
    )
    yield (
        gated(*given, bend=torch.sigmoid),
        "The proposal is a sigmoid; it is a tanh, a state may be negative.",
    )
    yield gated(*given, bend=lambda inside: inside), "The proposal has lost its tanh."
    yield gated(x, h, W_x, none, W_h, none), "Both biases are missing."
    yield gated(x, h, W_x, none, W_h, b_h), "b_x is missing: torch keeps two biases."
    yield gated(x, h, W_x, b_x, W_h, none), "b_h is missing: torch keeps two biases."
    turned = torch.cat([third.T for third in W_h.chunk(3)])
    yield (
        gated(x, h, W_x, b_x, turned, b_h),
        "The thirds of W_h are not transposed: torch keeps (outputs, inputs), also where a matrix is square.",
    )
    for order in ((1, 2, 0), (2, 1, 0), (2, 0, 1), (0, 2, 1)):
        yield (
            gated(*given, order=order),
            "The thirds stand in another order in yours; torch's is reset, update, new.",
        )


def gru_step(answer):
    """7.9: gru_step(x, h, W_x, b_x, W_h, b_h), as nn.GRUCell computes it."""
    for given, shown in problems(gates=3):
        mistakes = list(wrongly_gated(given))
        got = call(answer, *given)
        expect_tensor(got, gated(*given), f"{answer.__name__}{shown}", mistakes, tolerance=1e-9)
    return "Where update is near 1, the state passes as it is, and backwards so does its gradient: lesson 5's way out, learned."
