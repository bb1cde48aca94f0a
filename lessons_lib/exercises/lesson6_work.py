"""The checks of lesson 6 of the vote by finite differences, 6.17, and of training without autograd, 6.18."""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lessons_lib.exercises.engine import NotYet, call, expect_number, near, show_call, within
from lessons_lib.exercises.lesson4 import data, training_room
from lessons_lib.exercises.lesson6_ruler import draw

LETTERS = 27
BELOW = 2.39  # what exercise 6.18 asks for on dev, in nats: 3 epochs reach 2.40, 12 reach 2.36
COUNTED = 2.335  # a table of counts with three letters, smoothed well, comes to 2.327


def slope(answer):
    """6.17: slope(f, x, place, h), the central difference of f at x[place]."""
    table = draw(2, 5, 4)

    def cubes(x):
        return (x**3).sum()

    def angles(x):
        return (x @ x.T).sin().sum() + x[1, 0] * x[0, 2]

    def loss(x):
        return F.cross_entropy(x @ table, torch.tensor([0, 3, 3]))

    cases = [
        (cubes, torch.tensor([1.0, 2.0], dtype=torch.float64), (0,), 0.5),
        (angles, draw(0, 3, 3), (1, 0), 0.1),
        (angles, draw(0, 3, 3), (1, 0), 0.001),
        (loss, draw(1, 3, 5), (2, 0), None),
    ]
    for f, x, place, h in cases:
        moved = torch.zeros_like(x)
        moved[place] = step = h or 1e-6
        right, left, here = (f(x + sign * moved).item() for sign in (1, -1, 0))
        wanted = (right - left) / (2 * step)
        rows = torch.zeros_like(x)
        rows[list(place)] = step
        ahead, behind, both, twice = right - here, here - left, right - left, 2 * step
        halves = (f(x + moved / 2) - f(x - moved / 2)).item()
        everywhere, row = ((f(x + by) - f(x - by)).item() / twice for by in (step, rows))
        mistakes = {
            ahead / step: "That is the forward difference; look to both sides, x + h and x - h.",
            behind / step: "That is the backward difference; look to both sides, x + h and x - h.",
            both / step: "x + h and x - h are 2 * h apart: divide by that.",
            ahead
            / twice: "One side is at x itself. After x + h it takes 2 * h to come to x - h; and old = x[place] is a view of a tensor and "
            "moves along when x[place] is changed: x[place].item() or x[place].clone() keeps the number.",
            -both / twice: "The sign: f at x + h, minus f at x - h.",
            both: "The difference still has to be divided by 2 * h.",
            both / 2: "Divided by 2; it should be by 2 * h.",
            both / 2 * step: "Brackets: / 2 * h divides by 2 and multiplies by h. It takes / (2 * h).",
            everywhere: "All of x was moved; only x[place] should be.",
            row: "A whole row was moved: place is a tuple, and x[place] one number.",
            halves
            / step: "That moves h / 2 to each side. It converges as well; here h is the move to each side, and the whole is 2 * h.",
            0.0: "f was the same on both sides. Did x[place] move at all?",
        }
        if h:
            moved[place] = 1e-6
            fixed = (f(x + moved) - f(x - moved)).item() / 2e-6
            mistakes[fixed] = "h is not what it was told: the h of the call counts, here another than 1e-6."
        tolerance = 1e-8 if h else 1e-6
        mistakes = {
            wrong: said for wrong, said in mistakes.items() if not near(wrong, wanted, 10 * tolerance)
        }
        seen = show_call(answer, f, x, place, *([h] if h else []))
        got = vote(answer, f, x, place, h, seen)
        got = got.item() if isinstance(got, Tensor) and got.numel() == 1 else got
        expect_number(got, wanted, seen, mistakes, tolerance)
    return "A vote that knows nothing of your formulas. It is slow, two forward passes a number, and so it is asked for a few."


def vote(answer, f, x: Tensor, place: tuple, h: float | None, seen: str):
    """answer(f, x, place[, h]), with `f` looking at what it is called with."""

    @functools.wraps(f)
    def watched(y):
        if not isinstance(y, Tensor) or y.shape != x.shape:
            what = f"shape {tuple(y.shape)}" if isinstance(y, Tensor) else f"a {type(y).__name__}"
            raise NotYet(
                f"{seen} called f with {what}; f takes all of x, a tensor of shape {tuple(x.shape)}, with one number moved."
            )
        if y.dtype != torch.float64:
            raise NotYet(
                f"{seen} called f with {y.dtype}. There 1 + 1e-6 keeps but one digit of the 1e-6, and the difference is mostly rounding. "
                "Stay in float64."
            )
        return f(y.detach())

    step = () if h is None else (h,)
    try:
        return call(answer, watched, x, place, *step)
    except NotYet as said:
        if "changed its input" not in str(said):
            raise
        twin = x.clone()
        answer(watched, twin, place, *step)
        if (twin - x).abs().max() < 1e-9:
            raise NotYet(
                f"{seen} left x a rounding error away from where it was: x + h - h is not always x. "
                "Keep the number itself and put that back, or move a clone."
            ) from None
        raise


class WithoutANet(TorchFunctionMode):
    """While it is entered, the first tensor with requires_grad that torch is handed, or makes, is a NotYet. `seen`: the call, for it."""

    def __init__(self, seen: str):
        super().__init__()
        self.seen = seen

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if any(map(requires, (*args, *(kwargs or {}).values(), result))):
            raise NotYet(
                f"{self.seen} works with a tensor that requires a gradient. Here nobody keeps a graph: "
                "make the parameters without requires_grad, and no nn.Parameter or nn.Module."
            )
        return result


def requires(thing) -> bool:
    """Whether it is a tensor that requires a gradient, or a list or tuple with one in it."""
    if isinstance(thing, Tensor):
        return thing.requires_grad
    return isinstance(thing, list | tuple) and any(map(requires, thing))


@within(120)
def trained(answer):
    """6.18: trained(X, Y), a network as a function from contexts to logits, trained without autograd, below 2.39 on dev."""
    train, dev = data(3)
    seen = f"{answer.__name__}(X, Y)"
    with training_room(), torch.enable_grad(), WithoutANet(seen):
        network = call(answer, *train)
    if not callable(network):
        raise NotYet(
            f"{seen} returned a {type(network).__name__}; a function from contexts to logits was expected."
        )

    def logits(X):
        with torch.enable_grad(), WithoutANet(f"the network of {seen}"):
            return call(network, X)

    few = logits(dev[0][:5])
    if not isinstance(few, Tensor) or few.shape != (5, LETTERS):
        shape = tuple(few.shape) if isinstance(few, Tensor) else type(few).__name__
        raise NotYet(
            f"the network of {seen} answered 5 contexts with {shape}; logits of shape (5, 27) were expected."
        )
    if not few.is_floating_point():
        raise NotYet(f"the network of {seen} answered with {few.dtype}; logits are floats.")
    if few.min() >= 0 and (few.sum(1) - 1).abs().max() < 1e-3:
        raise NotYet(
            f"the network of {seen} answers with probabilities; logits were asked for, or log-probabilities."
        )
    alone = torch.cat([logits(x[None]) for x in dev[0][:5]])
    if not few.isfinite().all():
        raise NotYet(f"the network of {seen} answers with nan or inf. Did the rate grow too high?")
    if not (alone - few).abs().max() < 1e-3:
        raise NotYet(
            f"an answer of the network of {seen} depends on who else asks: a context alone gets another than among 5. "
            "In use BatchNorm takes the running mean and variance of the training."
        )
    losses = [
        sum(
            F.cross_entropy(logits(x), y, reduction="sum").item()
            for x, y in zip(X.split(8192), Y.split(8192), strict=True)
        )
        / len(Y)
        for X, Y in (train, dev)
    ]
    if not all(map(math.isfinite, losses)):
        raise NotYet(f"the network of {seen} has a loss of {losses[1]} on dev. Did the rate grow too high?")
    if losses[1] < losses[0] - 0.05:
        raise NotYet(
            f"the network of {seen} is better on dev ({losses[1]:.3f}) than on train ({losses[0]:.3f}). Has it been shown the dev names?"
        )
    if losses[1] >= BELOW:
        raise NotYet(
            f"{losses[1]:.3f} on dev, {losses[0]:.3f} on train; below {BELOW} was asked for. {way_on(*losses)}"
        )
    return f"{losses[1]:.3f} on dev, {losses[0]:.3f} on train{praise(losses[1])}"


def praise(dev: float) -> str:
    """The end of the sentence for a network that passed, or for a table that passed as one."""
    if dev < COUNTED:
        return (
            ", and autograd never woke up. That is lower than the network of this page comes. If it was counted after the manner of "
            "lesson 2, it is a good model, and has no gradient to speak of."
        )
    return ", and autograd never woke up."


def way_on(train: float, dev: float) -> str:
    """What a loss that is too high suggests."""
    if dev > math.log(LETTERS):
        return (
            "Knowing nothing costs ln 27 = 3.296: does every parameter move against its gradient? "
            "A rate that is too high jumps across the valley and comes out here as well."
        )
    if dev > 2.8:
        return (
            "That is about what the letter frequencies alone are worth: do C and W1 get their gradients, and does the network in use "
            "take the parameters of the end and running statistics?"
        )
    if dev - train > 0.3:
        return "Train is far below dev: it overfits. Fewer epochs."
    return (
        "Train for longer, or with another peak rate. If the rate does not rise and fall to nearly nothing yet, let it "
        "(one_cycle, lesson 4)."
    )


CHECKS = {"6.17": slope, "6.18": trained}
