"""Drawing from a model: one character, then a whole name. Built in lesson 2; temperature and networks came with lesson 4, top-k
with lesson 8.

`torch.multinomial` would do for one draw, but what it returns for a given seed changed between releases of torch. The lessons
print what their models say and compare it, so they draw through this module: one number from `torch.rand`, looked up in the
running sum of the probabilities (inverse transform sampling; Devroye, Non-Uniform Random Variate Generation, 1986, III.2).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lessons_lib.data import Vocabulary, _end, _numbers
from lessons_lib.training import evaluating

__all__ = ["choose", "draw", "from_network", "generate"]


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


def choose(
    logits: Tensor, generator: torch.Generator, temperature: float = 1.0, top_k: int | None = None
) -> int:
    """Draw the index of the next token from logits (V,), in 64 bits.

    temperature: as in `generate`; 0 takes the likeliest, the first among equals, and draws nothing.
    top_k:       only this many of the likeliest can be drawn, and with them all that equal the last; more than there are is all
                 (Fan et al., Hierarchical neural story generation, 2018, arXiv 1805.04833).
    Raises ValueError for a temperature that is negative or not finite, a top_k below 1, and logits that hold nan. Built in lesson 8.
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"a temperature is 0 or more, and finite; this one is {temperature}")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k leaves 1 token or more to draw from, and it is {top_k}")
    if logits.dim() != 1 or logits.isnan().any():
        raise ValueError(
            f"choose takes one row of logits, shape (V,), without nan, and got {tuple(logits.shape)}"
        )
    logits = logits.detach().cpu().double()
    if top_k is not None and top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -math.inf)
    return _choose(logits.log_softmax(0), generator, temperature)


def generate(
    model, vocabulary: Vocabulary, generator: torch.Generator, max_length: int = 16, temperature: float = 1.0
) -> str:
    """Let the model spell one name: from the empty context, character by character, until it draws the end mark.

    model: takes a list of N contexts (texts so far), returns (N, C) log-probabilities of the next character.
    temperature: the log-probabilities are divided by it and normalised again. Below 1 the likely becomes likelier, above 1 all
                 come closer to equal; 0 always takes the likeliest, the first among equals, and draws nothing. (Ackley, Hinton
                 and Sejnowski, A learning algorithm for Boltzmann machines, Cognitive Science 9, 1985.)
    A name that has not ended after max_length letters is cut, and says so with an ellipsis: "qwzjk…". No name in the bundled
    list or the lecture's has more than 15 letters.
    Raises ValueError for a temperature that is negative or not finite, and where the model gives no log-probabilities.
    """
    if not 0 <= temperature < math.inf:
        raise ValueError(f"a temperature is 0 or more, and finite; this one is {temperature}")
    name = ""
    while len(name) < max_length:
        log_probabilities = model([name])[0].double()  # (C,)
        character = vocabulary.characters[_choose(log_probabilities, generator, temperature)]
        if character == vocabulary.end:
            return name
        name += character
    return name + "…"


def _choose(log_probabilities: Tensor, generator: torch.Generator, temperature: float) -> int:
    """The index of the next character, from (C,) float64."""
    if temperature == 1:
        return draw(log_probabilities.exp(), generator)
    total = log_probabilities.exp().sum().item()
    if not abs(total - 1) <= 1e-4:  # a softmax would make probabilities of anything
        raise ValueError(f"these are not log-probabilities: their exponentials sum to {total:.4g}")
    below = (
        log_probabilities - log_probabilities.max()
    )  # 0 for the likeliest, so that dividing cannot lose it
    if temperature == 0:
        return int((below == 0).nonzero()[0])  # argmax promises no order among equals
    return draw((below / temperature).softmax(0), generator)


def from_network(
    network: Callable[[Tensor], Tensor], context: int, vocabulary: Vocabulary
) -> Callable[[list[str]], Tensor]:
    """A network as a model of lessons_lib.ladder: N texts so far -> (N, V) float64 log-probabilities of what comes next.

    network: takes (N, context) int64, the numbers of the last characters, returns (N, V) logits. A torch.nn.Module is asked in
             eval mode and its own mode restored after each call; any other function is called as it is. No gradient is kept.
    A text shorter than `context` is padded on the left with the end mark, as in `lessons_lib.data.examples`. `context` may be 0.
    Raises ValueError for a context below 0, a vocabulary without an end mark, or logits of another shape. Built in lesson 4.
    """
    if context < 0:
        raise ValueError(f"a context has 0 characters or more, and this one is {context}")
    padding = _end(vocabulary) * context

    def model(texts: list[str]) -> Tensor:
        if not texts:  # not every network can be asked nothing
            return torch.empty(0, vocabulary.size, dtype=torch.float64)
        tails = "".join((padding + text)[len(text) :] for text in texts)
        numbers = _numbers(tails, vocabulary).view(len(texts), context)
        with evaluating(network) if isinstance(network, nn.Module) else torch.no_grad():
            logits = network(numbers)
        if logits.shape != (len(texts), vocabulary.size):
            raise ValueError(
                f"for {len(texts)} contexts a network gives logits of shape {(len(texts), vocabulary.size)}, "
                f"and this one gave {tuple(logits.shape)}"
            )
        return logits.detach().cpu().double().log_softmax(1)

    return model
