"""The checks of lesson 6 that go through the two layers, tanh and the embedding, 6.6, 6.7, 6.13 and 6.14."""

import torch
from torch import Tensor

from lessons_lib.exercises.lesson6_ruler import Mistakes, draw, indices, judged, pulled_back, quarters

LETTERS, CONTEXT = 27, 3


def d_linear(answer):
    """6.6: d_linear(dlogits, h, W2), through logits = h @ W2 + b2, for all three."""
    for seed, (n, hidden, k) in enumerate(((3, 3, 3), (2, 3, 4), (5, 7, LETTERS), (LETTERS,) * 3)):
        h, W2, b2 = quarters(draw(seed, n, hidden)), quarters(draw(seed + 10, hidden, k)), draw(seed + 20, k)
        dlogits = quarters(draw(seed + 30, n, k))
        true = pulled_back(lambda h, W, b: h @ W + b, dlogits, h, W2, b2)
        inputs = {"dlogits": dlogits, "h": h, "W2": W2}
        judged(answer, inputs, dict(zip(("dh", "dW2", "db2"), true, strict=True)), MISTAKES["6.6"])
    return "Three lines, and all that a linear layer knows of learning; most of a large model's work is these two products."


def d_act(answer):
    """6.7: d_act(dh, h), through h = act.tanh()."""
    for seed, (n, hidden, spread) in enumerate(((2, 3, 1.0), (5, 7, 1.0), (LETTERS, LETTERS, 4.0))):
        act, dh = spread * draw(seed, n, hidden), quarters(draw(seed + 10, n, hidden))
        judged(answer, {"dh": dh, "h": act.tanh()}, pulled_back(torch.tanh, dh, act), MISTAKES["6.7"])
    return "Where h is near 1 or -1 almost nothing passes: here you can read off why saturated units stop learning."


def d_first(answer):
    """6.13: d_first(dpre, emb, W1), through pre = emb.view(n, -1) @ W1 + b1, for W1, b1 and emb."""
    for seed, (n, hidden, d) in enumerate(((6, 6, 2), (3, 2, 2), (5, 7, 10), (30, 30, 10), (6, 4, 10))):
        emb, W1 = draw(seed, n, CONTEXT, d), draw(seed + 10, CONTEXT * d, hidden)
        dpre = draw(seed + 20, n, hidden)
        if (n, hidden) == (6, 4):  # as BatchNorm sends it: without a mean, so that db1 is 0 up to rounding
            dpre = dpre - dpre.mean(0)
        b1 = draw(seed + 30, hidden)
        true = pulled_back(lambda W, b, e: e.view(len(e), -1) @ W + b, dpre, W1, b1, emb)
        judged(
            answer,
            {"dpre": dpre, "emb": emb, "W1": W1},
            dict(zip(("dW1", "db1", "demb"), true, strict=True)),
            MISTAKES["6.13"],
            summed={"db1": dpre.abs().sum(0)},
        )
    return "A view moves no number, so backwards it only puts the shape back. And db1 is 0 below BatchNorm, which takes any shift away."


def d_C(answer):
    """6.14: d_C(demb, X, rows), through emb = C[X]."""
    marielle = torch.tensor([[0, 0, 0], [0, 0, 13], [0, 13, 1]])  # its first contexts: 0 is the dot, 13 is m
    for seed, (X, rows, d) in enumerate(
        (
            (torch.tensor([[2, 0, 1]]), 3, 2),
            (torch.tensor([[2, 0, 2]]), 4, 2),
            (marielle, LETTERS, 10),
            (indices(1, 9, 5, CONTEXT), 9, 7),
            (indices(2, LETTERS - 1, 200, CONTEXT), LETTERS, 10),
        )
    ):
        demb = draw(seed, len(X), CONTEXT, d)
        truth = pulled_back(lambda C, X=X: C[X], demb, torch.zeros(rows, d, dtype=torch.float64))
        inputs = {"demb": demb, "X": X, "rows": rows}
        judged(answer, inputs, truth, MISTAKES["6.14"])
    return "Gathered on the way forward, scattered and added on the way back: a letter learns from every place it stood in."


def collected(demb: Tensor, X: Tensor, rows: int) -> Tensor:
    """The true dC for the places in X, which may be any shape that fits demb."""
    dC = torch.zeros(rows, demb.shape[-1], dtype=demb.dtype)
    return dC.index_add_(0, X.reshape(-1), demb.reshape(-1, demb.shape[-1]))


def put(demb: Tensor, X: Tensor, rows: int) -> Tensor:
    """dC[X] = demb: of several writes to a row, one stays."""
    dC = torch.zeros(rows, demb.shape[-1], dtype=demb.dtype)
    dC[X] = demb
    return dC


def first_of(demb: Tensor, X: Tensor, rows: int) -> Tensor:
    """dC where the first write to each row stays."""
    return put(demb.flip(0, 1), X.flip(0, 1), rows)


def by_place(demb: Tensor, X: Tensor, rows: int) -> Tensor:
    """dC with one `+=` for each of the three places: within a place one write a row stays."""
    return sum(put(demb[:, place], X[:, place], rows) for place in range(X.shape[1]))


def times(X: Tensor, rows: int) -> Tensor:
    """How often each row was looked up, (rows, 1), at least 1."""
    return torch.bincount(X.reshape(-1), minlength=rows).clamp(min=1)[:, None]


MISTAKES: dict[str, Mistakes | dict[str, Mistakes]] = {
    "6.6": {
        "dh": [
            (
                lambda dlogits, h, W2: dlogits @ W2,
                "W2 has to be transposed: each h reaches the logits through its row of W2.",
            ),
            (
                lambda dlogits, h, W2: W2 @ dlogits,
                "The order: dlogits @ W2.T, from (n, 27) and (27, H) to (n, H).",
            ),
            (
                lambda dlogits, h, W2: W2.T @ dlogits,
                "The order: dlogits @ W2.T, from (n, 27) and (27, H) to (n, H).",
            ),
            (lambda dlogits, h, W2: W2 @ dlogits.T, "That is dh transposed."),
            (
                lambda dlogits, h, W2: dlogits @ W2.T / len(h),
                "Divided by n once more; the mean has put its 1/n into dlogits already.",
            ),
            (
                lambda dlogits, h, W2: dlogits @ W2.T * (1 - h**2),
                "One step too far: that has passed tanh, which is the next exercise.",
            ),
        ],
        "dW2": [
            (lambda dlogits, h, W2: dlogits.T @ h, "That is dW2 transposed: (H, n) @ (n, 27) gives (H, 27)."),
            (
                lambda dlogits, h, W2: h @ dlogits,
                "h has to be transposed: the sum is over the examples, which both have.",
            ),
            (
                lambda dlogits, h, W2: h @ dlogits.T,
                "The wrong one is transposed: the sum is over the examples, h.T @ dlogits.",
            ),
            (
                lambda dlogits, h, W2: h.T @ dlogits / len(h),
                "Divided by n once more; the mean has put its 1/n into dlogits already.",
            ),
            (
                lambda dlogits, h, W2: h.mean(0)[:, None] * dlogits.sum(0),
                "The product of two sums; each example multiplies its own h with its own dlogits.",
            ),
        ],
        "db2": [
            (
                lambda dlogits, h, W2: dlogits + 0,
                "The sum is missing: one row of b2 was copied into n rows, and what comes back to all n is added.",
            ),
            (
                lambda dlogits, h, W2: dlogits.mean(0),
                "A mean; b2 was copied into n rows, and the n gradients are added.",
            ),
            (
                lambda dlogits, h, W2: dlogits.sum(1),
                "Summed over the other axis: b2 was copied into the rows, so the sum is over 0.",
            ),
            (lambda dlogits, h, W2: dlogits.sum(), "Everything was summed; b2 has one number a column."),
            (
                lambda dlogits, h, W2: (h.T @ dlogits).sum(0),
                "h is not in it: b2 is added, so its slope is 1.",
            ),
        ],
    },
    "6.7": [
        (lambda dh, h: dh * (1 - h), "The square is missing: the slope of tanh is 1 - h**2."),
        (
            lambda dh, h: dh * (1 - h.tanh() ** 2),
            "tanh twice: h has been through tanh already, so its slope is 1 - h**2.",
        ),
        (lambda dh, h: dh * h * (1 - h), "h * (1 - h) is the sigmoid's slope; tanh has 1 - h**2."),
        (lambda dh, h: 1 - h**2, "That is the slope of tanh alone; what comes back, dh, is not in it."),
        (lambda dh, h: dh * (1 + h**2), "A sign: the slope is 1 - h**2, at most 1."),
        (lambda dh, h: dh * (h**2 - 1), "The sign: tanh rises everywhere, so its slope is positive."),
        (lambda dh, h: dh * (1 - h) ** 2, "The square belongs to h alone: 1 - h**2, not (1 - h)**2."),
        (lambda dh, h: dh * 1 - h**2, "Brackets: dh times all of (1 - h**2)."),
        (lambda dh, h: dh * (1 - dh**2), "The slope is at h, 1 - h**2; yours is at dh."),
        (lambda dh, h: 1 - h**2 * dh, "Brackets: dh times all of (1 - h**2)."),
        (lambda dh, h: dh / (1 - h**2), "Divided by the slope; it is multiplied."),
        (lambda dh, h: dh * (1 - h**2).sqrt(), "A root too many: the slope of tanh is 1 - h**2."),
        (lambda dh, h: dh * h.tanh(), "That is tanh again; backwards it takes tanh's slope, 1 - h**2."),
        (lambda dh, h: dh * (h > 0), "That is ReLU's slope; tanh has 1 - h**2."),
    ],
    "6.13": {
        "dW1": [
            (lambda dpre, emb, W1: dpre.T @ emb.flatten(1), "That is dW1 transposed."),
            (
                lambda dpre, emb, W1: emb.flatten(1) @ dpre,
                "The flattened embeddings have to be transposed, flat.T; a view to (3d, n) turns nothing round.",
            ),
            (
                lambda dpre, emb, W1: emb.transpose(1, 2).flatten(1).T @ dpre,
                "The flattened numbers stand in another order than on the way forward: letter by letter, emb.view(n, -1).",
            ),
            (
                lambda dpre, emb, W1: emb.flatten(1).T @ dpre / len(emb),
                "Divided by n once more; the mean of the loss has put its 1/n into dpre already.",
            ),
            (
                lambda dpre, emb, W1: emb.flatten(1).mean(0)[:, None] * dpre.sum(0),
                "The product of two sums; each example multiplies its own numbers.",
            ),
        ],
        "db1": [
            (
                lambda dpre, emb, W1: dpre + 0,
                "The sum is missing: one row of b1 was copied into n rows, and what comes back to all n is added.",
            ),
            (
                lambda dpre, emb, W1: dpre.mean(0),
                "A mean; b1 was copied into n rows, and the n gradients are added.",
            ),
            (
                lambda dpre, emb, W1: dpre.sum(1),
                "Summed over the other axis: b1 was copied into the rows, so the sum is over 0.",
            ),
            (lambda dpre, emb, W1: dpre.sum(), "Everything was summed; b1 has one number a unit."),
            (
                lambda dpre, emb, W1: 0 * dpre[0],
                "Zeros. Below BatchNorm db1 is 0, but here dpre is any tensor: the sum has to be taken.",
            ),
        ],
        "demb": [
            (
                lambda dpre, emb, W1: dpre @ W1.T,
                "The numbers are right; they still have to go back through the view, to the shape of emb.",
            ),
            (
                lambda dpre, emb, W1: (dpre @ W1.T).view(len(emb), emb.shape[2], -1).transpose(1, 2),
                "The view is undone in another order: each row is 3 letters of d numbers, view(n, 3, d).",
            ),
            (
                lambda dpre, emb, W1: (dpre @ W1.T).view(len(emb), emb.shape[2], -1),
                "Each row is 3 letters of d numbers: view(n, 3, d), not (n, d, 3).",
            ),
            (
                lambda dpre, emb, W1: (dpre @ W1.T).view(emb.shape[1], len(emb), -1).transpose(0, 1),
                "The view is undone in another order: the examples come first, view(n, 3, d).",
            ),
            (
                lambda dpre, emb, W1: (dpre @ W1).view_as(emb),
                "W1 has to be transposed: each number of emb reaches pre through its row of W1.",
            ),
            (
                lambda dpre, emb, W1: (W1 @ dpre).view_as(emb),
                "The order: dpre @ W1.T, from (n, H) and (H, 3d) to (n, 3d).",
            ),
            (
                lambda dpre, emb, W1: (W1 @ dpre.T).view_as(emb),
                "W1 @ dpre.T is the transposed matrix, and view does not turn it round; dpre @ W1.T has the examples first.",
            ),
            (
                lambda dpre, emb, W1: (dpre @ W1.T).view_as(emb) / len(emb),
                "Divided by n once more; the mean of the loss has put its 1/n into dpre already.",
            ),
        ],
    },
    "6.14": [
        (
            put,
            "Repeats are overwritten: dC[X] = demb keeps one write a row, and so does dC[X] += demb, which reads all rows first and then "
            "writes them; a letter that stood in several places needs the sum (index_add_).",
        ),
        (
            by_place,
            "One += for each place: where a letter stands in the same place of several contexts, its repeats are still overwritten.",
        ),
        (
            first_of,
            "Of a letter that stood in several places only the first counts; it needs the sum over all.",
        ),
        (
            lambda demb, X, rows: collected(demb, X, rows) / times(X, rows),
            "A mean over the places of a letter; they are added.",
        ),
        (
            lambda demb, X, rows: collected(demb, X.T, rows),
            "The letters and their gradients are lined up in different orders: flatten X and demb alike, X.view(-1) and demb.view(-1, d).",
        ),
        (
            lambda demb, X, rows: collected(demb.transpose(0, 1), X, rows),
            "The letters and their gradients are lined up in different orders: flatten X and demb alike, X.view(-1) and demb.view(-1, d).",
        ),
        (
            lambda demb, X, rows: collected(demb.transpose(1, 2).reshape(-1, demb.shape[2]), X, rows),
            "The numbers of different letters are mixed: the last axis of demb, the numbers of one letter, has to stay last.",
        ),
        (
            lambda demb, X, rows: collected(demb, X, int(X.max()) + 1),
            "The number of rows was guessed from the largest letter in X; C has `rows` of them, and an unused letter has gradient 0.",
        ),
        (
            lambda demb, X, rows: collected(demb, X.unique(return_inverse=True)[1], len(X.unique())),
            "Only the letters that occur have a row; C has `rows` of them, and an unused letter has gradient 0.",
        ),
        (
            lambda demb, X, rows: collected(demb[:, 0], X[:, 0], rows),
            "Only the first of the three letters is here; each of the three was looked up.",
        ),
        (
            lambda demb, X, rows: collected(demb[:, -1], X[:, -1], rows),
            "Only the last of the three letters is here; each of the three was looked up.",
        ),
        (
            lambda demb, X, rows: collected(demb.sum(1), X[:, 0], rows),
            "The gradients of all three places went to the first letter; each belongs to its own.",
        ),
        (
            lambda demb, X, rows: collected(demb.sum(1), X[:, -1], rows),
            "The gradients of all three places went to the last letter; each belongs to its own.",
        ),
        (
            lambda demb, X, rows: collected(demb, X, rows) / len(X),
            "Divided by n once more; the mean of the loss has put its 1/n into demb already.",
        ),
        (
            lambda demb, X, rows: -collected(demb, X, rows),
            "The sign: a number that is looked up passes on what comes back as it is.",
        ),
        (
            lambda demb, X, rows: collected(demb, X, rows + 1)[1:],
            "Every row is one off: letter 0, the dot, has the first row.",
        ),
    ],
}

CHECKS = {"6.6": d_linear, "6.7": d_act, "6.13": d_first, "6.14": d_C}
