"""What the gradient microscope of lesson 6 sees: twenty steps backward, every gradient beside autograd's and a finite difference.

The network is that of lessons_lib.by_hand, but this module does not trust it: the forward lines that the microscope shows are run here as
they stand, autograd differentiates them, and nudging one number and running the rest of them again is the third opinion.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lessons_lib.by_hand import EPS
from lessons_lib.microscope_steps import ARGUMENTS, LINES, STEPS

__all__ = ["TOLERANCE", "Bench", "Numbers", "yours"]

TOLERANCE = 1e-9  # of the largest entry: right answers differ by 1e-15 or so, and forgetting EPS, the smallest mistake, by 1e-5
VOTE = 1e-4  # the same for a finite difference


class Numbers(NamedTuple):
    """What `Bench.compute` gives. The three pictures are 2-D, in units of the largest entry of `truth` (or of what it is a sum of).

    place: 0 to 19. whose: as given. found, difference: None where there is nothing to compare. error: the largest difference, in the same
    units. verdict: "agrees", "differs" or "none"; first: whether it is the first of this backward pass that differs. problem: why there is
    nothing, in words. values: (theirs, autograd's, a finite difference) at the entry that differs most, or at the largest; sides: whether
    the finite difference is autograd's. trail: (place, error) of the steps so far that were compared.
    """

    place: int
    whose: str
    shape: tuple[int, ...]
    found: np.ndarray | None
    truth: np.ndarray
    difference: np.ndarray | None
    error: float
    verdict: str
    first: bool
    problem: str
    values: tuple[float, float, float]
    sides: bool
    trail: list[tuple[int, float]]


class Bench:
    """One batch under the microscope. parameters, X, Y: as for `by_hand.forward`, in float64, and left alone.

    given: who -> a dictionary of gradients by name, or a function that is called as `by_hand.backward` is and returns one. A gradient is a
    tensor; None where it is not written yet; or a string that says what happened instead.
    """

    def __init__(self, parameters: dict[str, Tensor], X: Tensor, Y: Tensor, given: dict[str, Any]):
        if not given:
            raise ValueError("the microscope needs at least one backward pass to look at")
        if any(p.dtype != torch.float64 for p in parameters.values()):
            raise ValueError("the microscope compares to 1e-9, which takes parameters in float64")
        self._codes = [compile(line, "the forward pass", "exec") for line in LINES]
        self._places = {line.partition(" = ")[0]: i for i, line in enumerate(LINES)}
        wanted = {name: p.detach().clone().requires_grad_() for name, p in parameters.items()}
        names = {**wanted, "X": X, "Y": Y, "n": len(X), "EPS": EPS}
        with torch.enable_grad():
            self._run(names, 0)
        found = torch.autograd.grad(names["loss"], [names[step.of] for step in STEPS])
        self.truth = dict(zip((step.name for step in STEPS), found, strict=True))
        self.values = {name: v.detach() if isinstance(v, Tensor) else v for name, v in names.items()}
        self.atoms = {name: self.values[name] for name in self._places}
        # The entries of db1 are sums that come to nothing: what was summed is the measure there.
        self._units = {name: _largest(truth) for name, truth in self.truth.items()}
        self._units["db1"] = _largest(self.truth["dpre"].abs().sum(0))
        self._given = {}
        for whose, gradients in given.items():
            if callable(gradients):
                copies = [{name: t.clone() for name, t in ts.items()} for ts in (parameters, self.atoms)]
                gradients = gradients(copies[0], X.clone(), Y.clone(), copies[1])
            self._given[whose] = gradients

    def compute(self, values: dict[str, Any]) -> Numbers:
        """values: step, the name of a gradient, and whose, a key of `given`. Raises ValueError, with a sentence, for any other."""
        places = {step.name: place for place, step in enumerate(STEPS)}
        name, whose = values["step"], values["whose"]
        if name not in places:
            raise ValueError(f"The step is one of {', '.join(places)}, not {name!r}.")
        if whose not in self._given:
            raise ValueError(f"There are gradients of {', '.join(self._given)}, not of {whose!r}.")
        place = places[name]
        judged = [self._judge(step.name, self._given[whose].get(step.name)) for step in STEPS]
        found, problem, error = judged[place]
        truth, unit = self.truth[name], self._units[name] or 1.0
        off = None if found is None else found - truth
        entry = int((truth if off is None or error <= TOLERANCE else off).abs().argmax())
        slope, true = self.slope(name, entry), truth.flatten()[entry].item()
        theirs = np.nan if found is None else found.flatten()[entry].item()
        wrong = [p for p, (_, _, e) in enumerate(judged) if e > TOLERANCE]
        return Numbers(
            place,
            whose,
            tuple(truth.shape),
            None if found is None else _flat(found / unit),
            _flat(truth / unit),
            None if off is None else _flat(off / unit),
            error,
            "none" if np.isnan(error) else "agrees" if error <= TOLERANCE else "differs",
            place == min(wrong, default=None),
            problem,
            tuple(0.0 if abs(v) <= 1e-6 * unit else v for v in (theirs, true, slope)),
            abs(slope - true) <= VOTE * unit,
            [(p, e) for p, (_, _, e) in enumerate(judged[: place + 1]) if not np.isnan(e)],
        )

    def slope(self, name: str, entry: int) -> float:
        """The gradient `name` at one place, counted through its entries, by central differences: the loss with it nudged both ways."""
        start = self.values[name[1:]]
        size = max(start.flatten()[entry].abs().item(), 0.1 * start.square().mean().sqrt().item())
        losses, nudge = [], 1e-4 * size
        for way in (nudge, -nudge):
            moved = start.clone()
            moved.view(-1)[entry] += way
            names = {**self.values, name[1:]: moved}
            self._run(names, self._places.get(name[1:], -1) + 1)
            losses.append(names["loss"].item())
        return (losses[0] - losses[1]) / (2 * nudge)

    def _run(self, names: dict[str, Any], first: int) -> None:
        for code in self._codes[first:]:
            exec(code, names)

    def _judge(self, name: str, found: Any) -> tuple[Tensor | None, str, float]:
        """(what can be compared, what is amiss, the largest difference in units; nan where nothing can be compared)."""
        truth = self.truth[name]
        if found is None or found is ...:
            return None, "not written yet", np.nan
        if isinstance(found, str):
            return None, found, np.nan
        if not isinstance(found, Tensor):
            return None, f"a {type(found).__name__}, not a tensor", np.nan
        if found.shape != truth.shape:
            return None, f"of shape {tuple(found.shape)}, which should be {tuple(truth.shape)}", np.nan
        found = found.detach().double()
        if not found.isfinite().all():
            return None, "not finite", np.nan
        most, unit = _largest(found - truth), self._units[name]
        return found, "", most / unit if unit else (np.inf if most else 0.0)


def yours(namespace: dict[str, Any], parameters: dict[str, Tensor], X: Tensor, Y: Tensor) -> dict[str, Any]:
    """What the functions of exercises 6.1 to 6.14 give, by the names of the steps: for `Bench`.

    namespace: where they are looked up by name, such as globals(). Each is handed copies of the true tensors, those of the steps behind it
    too, so that a mistake shows where it is made and nowhere else; what it raises becomes a string.
    """
    bench = Bench(parameters, X, Y, {"nobody": {}})
    known, given = {**bench.values, **bench.truth, "rows": len(parameters["C"])}, {}
    for function, arguments in ARGUMENTS.items():
        names = [step.name for step in STEPS if step.function == function]
        copies = [v.clone() if isinstance(v, Tensor) else v for v in map(known.get, arguments.split())]
        given |= dict(zip(names, _answers(namespace.get(function), function, copies, names), strict=True))
    return given


def _answers(function: Callable | None, name: str, arguments: list, wanted: list[str]) -> list:
    """An answer for each name in `wanted`, or the same None or sentence for all."""
    if function is None:
        return [None] * len(wanted)
    try:
        answer = function(*arguments)
    except Exception as error:
        sentence = " ".join(str(error).split()).rstrip(".")
        return [f"stopped by {type(error).__name__}: {sentence}"] * len(wanted)
    if len(wanted) == 1 or answer is None or answer is ...:
        return [answer] * len(wanted)
    if not isinstance(answer, tuple | list) or len(answer) != len(wanted):
        return [f"not what {name} should return, {', '.join(wanted)}"] * len(wanted)
    return list(answer)


def _largest(tensor: Tensor) -> float:
    return tensor.abs().max().item()


def _flat(tensor: Tensor) -> np.ndarray:
    """Two dimensions of whatever there are: one row of a vector, and what an example has side by side."""
    return (tensor.flatten(1) if tensor.dim() > 1 else tensor.view(1, -1)).numpy()
