"""Handing examples to a model: in minibatches to learn from, all of a split to be measured on. Built in lesson 4.

And the random numbers of a training run. They depend on its seed and the place in it alone, so that a run can be broken off
anywhere, taken up again, and come out the same. Import from lessons_lib.training, which has all of this.
"""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "check_examples",
    "evaluating",
    "mean_loss",
    "minibatches",
    "order_of_epoch",
    "random_numbers",
    "split_loss",
    "widened",
]


def minibatches(size: int, *tensors: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """One epoch in a new order: an iterator of tuples with `size` rows of each tensor, row i of one beside row i of the other.

    tensors:   (N, ...) each. They are shuffled whole, once, by one permutation: indexing 180,000 rows in one call costs far
               less than gathering them batch by batch. N % size examples are left over and come in no batch of this epoch.
    generator: advanced by one `torch.randperm(N)`, when the function is called.
    Raises ValueError for no tensors, different lengths, a size below 1, or one above N; TypeError without a generator.
    """
    if generator is None:
        raise TypeError(
            "minibatches needs a torch.Generator of its own: without one no epoch could be repeated"
        )
    check_examples(tensors, size)
    order = torch.randperm(len(tensors[0]), generator=generator)
    order = order[: len(order) // size * size]
    return zip(*(tensor[order].split(size) for tensor in tensors), strict=True)


def check_examples(tensors: tuple[Tensor, ...], size: int = 1) -> None:
    """ValueError in a sentence where the tensors are not of one length, or do not fill a single batch of `size`."""
    lengths = [len(tensor) for tensor in tensors]
    if not lengths or min(lengths) != max(lengths):
        raise ValueError(f"every example needs its target, and the tensors have the lengths {lengths}")
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"a batch has a whole number of examples, 1 or more, and this one has {size!r}")
    if size > lengths[0]:
        raise ValueError(f"a batch of {size:,} cannot be filled: there are {lengths[0]:,} examples")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients inside the `with` block; afterwards every module is back in the mode that it had itself."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def split_loss(model: nn.Module, X: Tensor, Y: Tensor, batch: int = 8192) -> float:
    """The mean cross-entropy of a whole split, in nats per example, in eval mode and without gradients.

    X: (N, ...), handed to the model `batch` rows at a time; Y: (N,) int64. Each module's own mode is restored afterwards.
    Raises ValueError for an empty split or different lengths.
    """
    return mean_loss(model, X, Y, F.cross_entropy, batch)


def mean_loss(model: nn.Module, X: Tensor, Y: Tensor, loss: Callable, batch: int = 8192) -> float:
    """The same for another loss, the mean over the examples of what loss(model(X), Y) is the mean of."""
    check_examples(
        (X, Y), min(batch, max(len(X), 1))
    )  # more than there are is all of them, but nothing has no mean
    with evaluating(model):
        parts = zip(X.split(batch), Y.split(batch), strict=True)
        return sum(loss(model(x), y).item() * len(y) for x, y in parts) / len(Y)


def widened(logits: Tensor) -> Tensor:
    """In 32 bits at least: a mean of losses in bfloat16 would be known to a hundredth."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def order_of_epoch(seed: int, epoch: int) -> torch.Generator:
    """The generator for the minibatches of an epoch, the first being 0; new at each call."""
    return torch.Generator().manual_seed(zlib.crc32(f"order of epoch {epoch} from seed {seed}".encode()))


@contextmanager
def random_numbers(model: nn.Module) -> Iterator[Callable]:
    """Lend torch's global random numbers, from which dropout draws, to a run, and give them back as they were before.

    Yields a function. Given a seed, it starts the numbers; given states, it goes on from them; it always returns the states,
    one for the processor and one for each CUDA card that the model is on.
    """
    cards = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    generators = [torch.default_generator, *(torch.cuda.default_generators[card] for card in cards)]

    def numbers(start: int | list[Tensor] | None = None) -> list[Tensor]:
        if isinstance(start, int):
            for generator in generators:
                generator.manual_seed(zlib.crc32(f"dropout from seed {start}".encode()))
        elif start is not None:
            for generator, state in zip(generators, start, strict=False):  # another device has others
                generator.set_state(state)
        return [generator.get_state() for generator in generators]

    before = numbers()
    try:
        yield numbers
    finally:
        numbers(before)
