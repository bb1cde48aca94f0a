"""What the checks of lesson 6 measure with: a gradient against autograd's, by relative error, and the usual mistakes by name.

The error is the norm of the difference over the norm of the true gradient. `torch.allclose` would not do: to a gradient of 1e-9
it lets pass whatever is smaller than 1e-8, zeros among it.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lessons_lib.by_hand import EPS
from lessons_lib.exercises.engine import NotYet, call, expect_tensor, show_call
from lessons_lib.exercises.expect import SMALL, a_tensor, a_type, apart, brief, dense, name_of, numbers

__all__ = [
    "Mistakes",
    "draw",
    "expect_gradient",
    "indices",
    "judged",
    "normalised",
    "pulled_back",
    "quarters",
    "relative_error",
]

RIGHT, ALIKE, COARSE = 1e-8, 1e-6, 1e-4  # for the true gradient, for a known mistake, and for that in float32
ROUNDING = 1e-12  # a gradient so much smaller than what was summed into it is 0
LESSONS_OWN = {32, 64}  # the batch and the hidden layer of the lesson; no problem here has these sizes

Mistakes = list[tuple[Callable, str]]
"""(what a learner might compute from the same arguments, what to say of it), the likely ones first."""


def draw(seed: int, *shape: int) -> Tensor:
    """Normal numbers in float64, the same for the same seed and shape."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def quarters(x: Tensor) -> Tensor:
    """Rounded to whole quarters where there are few, so that a message can be checked in the head."""
    return (4 * x).round() / 4 if x.numel() <= 12 else x


def indices(seed: int, high: int, *shape: int) -> Tensor:
    """Whole numbers from 0 to high - 1."""
    return torch.randint(high, shape, generator=torch.Generator().manual_seed(seed))


def normalised(pre: Tensor, over: int = 0, less: int = 1) -> dict[str, Tensor]:
    """off, var, inv and norm of the lesson for `pre`. over: the axis of mean and variance. less: 1 divides by n - 1, 0 by n."""
    off = pre - pre.mean(over, keepdim=True)
    var = (off**2).sum(over, keepdim=True) / (pre.shape[over] - less)
    inv = (var + EPS) ** -0.5
    return {"off": off, "var": var, "inv": inv, "norm": off * inv}


def pulled_back(f: Callable, incoming: Tensor, *inputs: Tensor):
    """The gradient of (incoming * f(*inputs)).sum() at each input, by autograd: one tensor, or a tuple of them.

    Works in a notebook that has switched gradients off.
    """
    with torch.enable_grad():
        leaves = [x.detach().clone().requires_grad_() for x in inputs]
        gradients = torch.autograd.grad(f(*leaves), leaves, incoming)
    return gradients[0] if len(inputs) == 1 else gradients


def relative_error(got: Tensor, wanted: Tensor, summed: Tensor | None = None) -> float:
    """The norm of the difference over that of wanted; inf where shapes differ or numbers are not finite.

    summed: the sizes of what was added up to `wanted`; where nothing but rounding is left of it, the error is relative to them.
    """
    if got.shape != wanted.shape:
        return math.inf
    got, wanted = got.double(), wanted.double()
    size = wanted.norm().item()
    if summed is not None and size <= ROUNDING * summed.norm().item():
        size = summed.norm().item()
    error = (got - wanted).norm().item() / (size or 1.0)
    return error if math.isfinite(error) else math.inf


def judged(
    answer: Callable,
    inputs: dict[str, Tensor | int],
    truth: Tensor | dict[str, Tensor],
    mistakes: Mistakes | dict[str, Mistakes],
    summed: dict[str, Tensor] | None = None,
) -> None:
    """NotYet unless answer(*inputs) is the true gradient, or all of several, given by name in the order they are wanted in."""
    seen = shown_call(answer, inputs)
    got = called(answer, inputs, seen)
    if isinstance(truth, Tensor):
        expect_gradient(got, truth, seen, inputs, mistakes)
        return
    order = ", ".join(truth)
    if not isinstance(got, tuple | list):
        raise NotYet(f"{seen} returned {a_type(got)}; a tuple of {len(truth)} was expected: ({order}).")
    if len(got) != len(truth):
        raise NotYet(f"{seen} returned {len(got)} things; {len(truth)} were expected: ({order}).")
    for place, (name, wanted) in enumerate(truth.items()):
        scale = (summed or {}).get(name)
        fits = [isinstance(g, Tensor) and relative_error(dense(g), wanted, scale) <= RIGHT for g in got]
        if not fits[place] and any(fits):
            raise NotYet(
                f"{seen} returned the right {name}, but in place {fits.index(True) + 1}. The order is ({order})."
            )
        expect_gradient(got[place], wanted, f"The {name} of {seen}", inputs, mistakes[name], scale)


def called(answer: Callable, inputs: dict[str, Tensor | int], seen: str):
    """answer(*inputs), and where that fails, `seen` in the message in place of all the numbers."""
    try:
        return call(answer, *inputs.values())
    except NotYet as problem:
        said = str(problem).replace(show_call(answer, *inputs.values()), seen)
        if "cannot be multiplied" in said or "must match" in said:
            said += " Write the shapes beside the names, and what shape is to come out."
        raise NotYet(said) from None


def expect_gradient(
    got,
    wanted: Tensor,
    seen: str,
    inputs: dict[str, Tensor | int],
    mistakes: Mistakes,
    summed: Tensor | None = None,
) -> None:
    """NotYet unless got has wanted's shape and type, and its numbers to a relative 1e-8. What it looks like is said where known.

    inputs: what the answer was handed, by name; the mistakes are computed from the same. A history (requires_grad) does not matter.
    """
    if not isinstance(got, Tensor):
        expect_tensor(got, wanted, seen)  # it has the words for this
    got = dense(got)
    error = relative_error(got, wanted, summed)
    if error <= RIGHT and got.dtype == wanted.dtype:
        return
    if error <= COARSE and got.dtype != wanted.dtype:
        raise NotYet(
            f"{seen} returned {name_of(got)}. The numbers are right as far as it can hold them; what came in was float64, "
            "and in float32 a small mistake hides in the rounding. Fresh tensors take the type of another with torch.zeros_like(x), "
            "or dtype=x.dtype."
        )
    name = named(got, wanted, error, inputs, mistakes)
    if got.shape != wanted.shape:
        raise NotYet(
            f"{seen} returned {a_tensor(got)}; shape {tuple(wanted.shape)} was expected. {name or of_shape(got, wanted)}"
        )
    if not got.isfinite().all():
        where = (~got.isfinite()).nonzero()[0].tolist()
        raise NotYet(f"{seen} has {got[tuple(where)].item()} at {where}. {name}".rstrip())
    raise NotYet(f"{compared(got, wanted, seen, error)} {name or of_numbers(got, wanted, inputs)}")


def named(
    got: Tensor, wanted: Tensor, error: float, inputs: dict[str, Tensor | int], mistakes: Mistakes
) -> str:
    """What is said of the first known mistake that `got` is; "" where it is none."""
    loose = ALIKE if got.dtype == torch.float64 else COARSE
    for mistake, sentence in mistakes:
        try:
            wrong = mistake(*(x.clone() if isinstance(x, Tensor) else x for x in inputs.values()))
        except (RuntimeError, IndexError):  # shapes that do not let this mistake happen
            continue
        if same_places(got, wrong) or relative_error(got, wrong) <= min(loose, error / 10):
            return sentence
    return ""


def same_places(got: Tensor, wrong: Tensor) -> bool:
    """Whether both fail to be finite, and agree otherwise: an overflow is recognised by the numbers beside it."""
    if got.shape != wrong.shape or wrong.isfinite().all():
        return False
    return bool(torch.allclose(got.double(), wrong.double(), rtol=COARSE, atol=0, equal_nan=True))


def of_shape(got: Tensor, wanted: Tensor) -> str:
    """A hint for a wrong shape."""
    if got.dim() and relative_error(got.squeeze(), wanted.squeeze()) <= RIGHT:
        return "The numbers are right: only dimensions of size 1 differ (keepdim, unsqueeze)."
    if wanted.dim() == 2 and got.shape == wanted.T.shape:
        return "That is the shape of the transposed matrix."
    if got.dim() == 0:
        return "Everything was summed to one number; a gradient has the shape of what it belongs to."
    if set(got.shape) & LESSONS_OWN:
        return (
            "32 and 64 are the sizes of the lesson's own tensors: does the function use a name of the notebook, or one of these "
            "numbers, in place of what it is handed?"
        )
    if got.numel() == wanted.numel():
        return "The numbers may be there, but not in their places."
    return "A gradient has the shape of what it belongs to: one number for each of its numbers."


def of_numbers(got: Tensor, wanted: Tensor, inputs: dict[str, Tensor | int]) -> str:
    """A hint for wrong numbers in the right shape."""
    if not got.any():
        return "All of it is 0, and the loss does depend on this."
    if got.norm() <= ROUNDING * wanted.norm():
        return "All of it is 0 up to rounding: something was summed that cancels. Multiply first, entry by entry, and then sum."
    for name, given in inputs.items():
        if isinstance(given, Tensor) and relative_error(got, given) <= ALIKE:
            return f"That is {name}, as it was handed over."
    if got.dim() == 2 and relative_error(got.T, wanted) <= ALIKE:
        return "That is the transposed matrix."
    factor = ((got * wanted).sum() / (wanted * wanted).sum()).item()
    if factor and relative_error(got, factor * wanted) <= ALIKE:
        if abs(factor + 1) < ALIKE:
            return "The sign is the other way round."
        return f"Every number is {factor:.4g} times what it should be; a factor is all that is wrong."
    return "It has the right shape, and that is all that can be said for it so far."


def compared(got: Tensor, wanted: Tensor, seen: str, error: float) -> str:
    """Both tensors as numbers where they are small; otherwise the error, and the numbers that are furthest apart."""
    left, right = numbers(got.tolist(), 4), numbers(wanted.tolist(), 4)
    if got.numel() <= SMALL and left != right:
        return f"{seen} returned {left}; autograd has {right}."
    where = ((got - wanted).abs() == (got - wanted).abs().max()).nonzero()[0].tolist()
    a, b = apart(got[tuple(where)].item(), wanted[tuple(where)].item())
    return f"{seen} has a relative error of {error:.2g}: at {where}, where it is worst, {a} stands, and autograd has {b}."


def shown_call(answer: Callable, inputs: dict[str, Tensor | int]) -> str:
    """The call with the arguments by name: as numbers where there are few, else by their shapes."""
    few = sum(x.numel() for x in inputs.values() if isinstance(x, Tensor)) <= SMALL + 2

    def shown(name: str, x) -> str:
        if not isinstance(x, Tensor):
            return f"{name}={brief(x)}"
        if x.numel() <= SMALL and (few or not x.is_floating_point()):
            return f"{name}={numbers(x.tolist(), 4)}"
        return f"{name} of shape {tuple(x.shape)}"

    call_name = getattr(answer, "__name__", type(answer).__name__)
    return f"{call_name}({', '.join(shown(name, x) for name, x in inputs.items())})"
