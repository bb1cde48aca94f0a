"""What came back against what was wanted: numbers, lists of numbers and tensors, and how both are shown to the learner."""

import math
import reprlib

import numpy as np
import torch
from torch import Tensor

__all__ = ["NotYet", "brief", "expect_number", "expect_numbers", "expect_tensor", "near"]

SMALL = 12  # so many numbers are shown one by one


class NotYet(Exception):
    """Raised by a check: the answer is not right, and this is what was seen."""


def near(a: float, b: float, tolerance: float = 1e-6) -> bool:
    """Whether a and b agree to `tolerance`, relative to b or, for a small b, to 1. NaN is near nothing."""
    try:
        return a == b or (math.isfinite(b) and abs(a - b) <= tolerance * max(1.0, abs(b)))
    except OverflowError:  # an int too large for a float
        return False


def expect_number(
    got, wanted: float, seen: str, mistakes: dict | None = None, tolerance: float = 1e-6
) -> None:
    """NotYet unless got is one number near wanted. seen: the call, for the message.

    mistakes: {wrong value: what it looks like}; the first that got is near is named.
    """
    if not is_number(got):
        single = isinstance(got, Tensor | np.ndarray | np.generic) and math.prod(got.shape) == 1
        out = " Take the number out with .item()." if single else ""
        raise NotYet(f"{seen} returned {brief(got)}, {a_type(got)}; it should be one number (a float).{out}")
    if near(got, wanted, tolerance):
        return
    left, right = apart(got, wanted, digits=6)
    for wrong, name in (mistakes or {}).items():
        if near(got, wrong, tolerance):
            raise NotYet(f"{seen} returned {left}; {right} was expected. {name}")
    raise NotYet(f"{seen} returned {left}; {right} was expected.")


def expect_numbers(
    got, wanted: list[float], seen: str, mistakes: list | None = None, tolerance: float = 1e-6
) -> None:
    """The same for a list of numbers. mistakes: pairs of (wrong list, what it looks like)."""
    if not isinstance(got, list | tuple):
        raise NotYet(
            f"{seen} returned {brief(got)}, {a_type(got)}; a list of {len(wanted)} numbers was expected."
        )
    if len(got) != len(wanted):
        raise NotYet(
            f"{seen} returned {brief(got)}, of length {len(got)}; {len(wanted)} numbers were expected."
        )
    for i, number in enumerate(got):
        if not is_number(number):
            raise NotYet(
                f"{seen} returned {brief(number)} at place {i}, {a_type(number)}; a float was expected."
            )
    wrong = [i for i, pair in enumerate(zip(got, wanted, strict=True)) if not near(*pair, tolerance)]
    if not wrong:
        return
    left, right = apart(got[wrong[0]], wanted[wrong[0]], digits=6)
    message = f"{seen} returned {left} at place {wrong[0]}; {right} was expected."
    if len(wanted) <= SMALL and numbers(got) != numbers(wanted):
        message = f"{seen} returned {numbers(got)}; {numbers(wanted)} was expected."
    for other, name in mistakes or []:
        if len(other) == len(got) and all(near(*pair, tolerance) for pair in zip(got, other, strict=True)):
            raise NotYet(f"{message} {name}")
    raise NotYet(message)


def expect_tensor(
    got,
    wanted: Tensor,
    seen: str,
    mistakes: list[tuple[Tensor, str]] | None = None,
    tolerance: float = 1e-5,
) -> None:
    """NotYet unless got is a tensor with wanted's exact shape, dtype and numbers. Nothing is broadcast.

    Floats agree to `tolerance`, relative to the wanted number or, where that is small, to 1; whole numbers and bools exactly.
    NaN agrees with NaN and an infinity with itself. Whether got requires a gradient does not matter.

    mistakes: pairs of (wrong tensor, what it looks like). The first with got's shape and numbers is named, of whatever
    dtype; one that cannot be told from `wanted` on this input is passed over.
    """
    if not isinstance(got, Tensor):
        raise NotYet(
            f"{seen} returned {brief(got)}, {a_type(got)}; a tensor of shape {tuple(wanted.shape)} was expected."
        )
    got, wanted = dense(got), dense(wanted)
    equal = agree(got, wanted, tolerance)
    if equal and got.dtype == wanted.dtype:
        return
    returned, expected = shown(got, wanted)
    for wrong, name in mistakes or []:
        wrong = dense(wrong)
        if agree(got, wrong, tolerance) and not agree(wrong, wanted, tolerance):
            raise NotYet(f"{seen} returned {returned}; {expected} was expected. {name}")
    if got.shape != wanted.shape:
        squeezed = got.squeeze().shape == wanted.squeeze().shape and agree(
            got.squeeze(), wanted.squeeze(), tolerance
        )
        hint = " The numbers are right: only dimensions of size 1 differ (keepdim, unsqueeze)." * squeezed
        raise NotYet(
            f"{seen} returned {a_tensor(got)}; shape {tuple(wanted.shape)} was expected, "
            f"and nothing is broadcast here.{hint}"
        )
    if got.dtype != wanted.dtype:
        right = " The numbers themselves are right." if equal else ""
        raise NotYet(f"{seen} returned {name_of(got)}; {name_of(wanted)} was expected.{right}")
    differ = ~places(got, wanted, tolerance)
    where = differ.nonzero()[0].tolist()
    message = f"{seen} returned {returned}; {expected} was expected."
    if where:
        left, right = apart(got[tuple(where)].item(), wanted[tuple(where)].item())
        many = f" ({int(differ.sum())} of {got.numel()} numbers differ)" if got.numel() > 1 else ""
        message += f" The first difference is at {where}: {left}, not {right}{many}."
    raise NotYet(message)


def dense(tensor: Tensor) -> Tensor:
    """The tensor without its history, on the CPU, stored whole."""
    tensor = tensor.detach().cpu()
    return tensor if tensor.layout == torch.strided else tensor.to_dense()


def places(a: Tensor, b: Tensor, tolerance: float) -> Tensor:
    """Where a and b, of one shape, agree: bools of the same shape."""
    if not (a.is_floating_point() or a.is_complex() or b.is_floating_point() or b.is_complex()):
        return a == b
    a, b = (x.to(torch.promote_types(x.dtype, torch.float64)) for x in (a, b))
    close = ((a - b).abs() <= tolerance * b.abs().clamp(min=1)) & b.isfinite()
    return close | (a == b) | (a.isnan() & b.isnan())


def agree(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and bool(places(a, b, tolerance).all())


def is_number(thing) -> bool:
    return isinstance(thing, int | float) and not isinstance(thing, bool)


def apart(a: float, b: float, digits: int = 4) -> tuple[str, str]:
    """Both numbers, with as many digits as it takes to see a difference."""
    for d in range(digits, 17, 3):
        left, right = number(a, d), number(b, d)
        if left != right:
            return left, right
    return repr(a), repr(b)


def number(value, digits: int) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float | complex) else brief(value)


def numbers(values, digits: int = 6) -> str:
    """Nested lists as one string: [[0.5, 0.5], [1, 0]]."""
    if isinstance(values, list | tuple):
        return "[" + ", ".join(numbers(v, digits) for v in values) + "]"
    return number(values, digits)


def shown(got: Tensor, wanted: Tensor) -> tuple[str, str]:
    """Both as numbers, or where one is too large for that, by their shapes."""
    if max(got.numel(), wanted.numel()) > SMALL or not got.numel() * wanted.numel():
        return a_tensor(got), "another" if got.shape == wanted.shape else a_tensor(wanted)
    return numbers(got.tolist(), 4), numbers(wanted.tolist(), 4)


def a_tensor(tensor: Tensor) -> str:
    return f"a tensor of shape {tuple(tensor.shape)}"


def name_of(tensor: Tensor) -> str:
    return f"a tensor of {str(tensor.dtype).removeprefix('torch.')}"


def a_type(thing) -> str:
    """The type's name with its article: an int, a float, an ndarray."""
    name = type(thing).__name__
    return f"{'an' if name[0] in 'aeiouAEIO' or name == 'ndarray' else 'a'} {name}"


class Brief(reprlib.Repr):
    """repr() that stays short: tensors and arrays as numbers where they are small, functions by name."""

    def __init__(self):
        super().__init__()
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = SMALL
        self.maxlevel, self.maxstring, self.maxother, self.maxlong = 4, 60, 60, 40

    def repr1(self, thing, level):
        if isinstance(thing, Tensor | np.ndarray):
            kind = "tensor" if isinstance(thing, Tensor) else "array"
            if not 0 < math.prod(thing.shape) <= SMALL:
                return f"{kind} of shape {tuple(thing.shape)}"
            return f"{kind}({numbers(thing.tolist(), 4)})"
        if callable(thing) and hasattr(thing, "__name__"):
            return thing.__name__
        return super().repr1(thing, level)


def brief(thing) -> str:
    """How a message shows an argument or a result, in 120 characters at most."""
    text = Brief().repr(thing)
    return text if len(text) <= 120 else text[:117] + "..."
