"""Drawing from a model: one character, then a whole name. Built in lesson 2.

`torch.multinomial` would do for one draw, but what it returns for a given seed changed between releases of torch. The lessons
print what their models say and compare it, so they draw through this module: one number from `torch.rand`, looked up in the
running sum of the probabilities (inverse transform sampling; Devroye, Non-Uniform Random Variate Generation, 1986, III.2).
"""

import torch
from torch import Tensor

from lessons_lib.data import Vocabulary

__all__ = ["draw", "generate"]


def draw(probabilities: Tensor, generator: torch.Generator) -> int:
    """Draw one index, each with its probability. An index with probability 0 never comes up.

    probabilities: (C,), nonnegative, summing to 1 within 1e-4; ValueError otherwise (logits are a common guest here).
    generator:     advanced by exactly one `torch.rand`.
    """
    if generator is None:
        raise TypeError("draw needs a torch.Generator of its own: without one the draw could not be repeated")
    if probabilities.dim() != 1 or len(probabilities) == 0:
        raise ValueError(
            f"draw takes one row of probabilities, shape (C,), and got {tuple(probabilities.shape)}"
        )
    running = probabilities.detach().double().cumsum(0)
    if not (probabilities >= 0).all() or not abs(running[-1].item() - 1) <= 1e-4:
        raise ValueError(
            f"these are not probabilities: the smallest is {probabilities.min().item():.4g} "
            f"and they sum to {running[-1].item():.4g}"
        )
    # rand is below 1, so the mark lies below the last running sum even where rounding has left that sum a little under 1.
    mark = torch.rand((), generator=generator, dtype=torch.float64) * running[-1]
    # right=True: the first running sum above the mark. A zero adds nothing to the sum, so it is never the first one above.
    return int(torch.searchsorted(running, mark, right=True))


def generate(model, vocabulary: Vocabulary, generator: torch.Generator, max_length: int = 16) -> str:
    """Let the model spell one name: from the empty context, character by character, until it draws the end mark.

    model: takes a list of N contexts (texts so far), returns (N, C) log-probabilities of the next character.
    A name that has not ended after max_length letters is cut, and says so with an ellipsis: "qwzjk…". No name in the bundled
    list or the lecture's has more than 15 letters.
    """
    name = ""
    while len(name) < max_length:
        log_probabilities = model([name])[0]  # (C,)
        character = vocabulary.characters[draw(log_probabilities.double().exp(), generator)]
        if character == vocabulary.end:
            return name
        name += character
    return name + "…"
