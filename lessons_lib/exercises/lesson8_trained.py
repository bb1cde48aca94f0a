"""The checks of lesson 8 that judge something trained: a calculator that is a network, and a network tuned to names, 8.13 and 8.14.

Neither is trained here: what the learner's function trains is asked about what it was not shown.
"""

import functools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons_lib.data import Vocabulary, load_names, load_text, split
from lessons_lib.exercises.engine import NotYet, call, within
from lessons_lib.exercises.expect import brief
from lessons_lib.exercises.lesson4 import training_room

# 8.13

SHOWN, ASKED, RIGHT = 2000, 200, 0.95


@functools.cache
def sums() -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """The pairs that may be learned from, and the pairs that are asked about; none is in both."""
    order = torch.randperm(10_000, generator=torch.Generator().manual_seed(13)).tolist()
    pairs = [divmod(number, 100) for number in order]
    return pairs[:SHOWN], pairs[SHOWN : SHOWN + ASKED]


def without_carry(a: int, b: int) -> int:
    return sum((a // ten % 10 + b // ten % 10) % 10 * ten for ten in (1, 10))


OF_ADDERS = (
    (lambda a, b: int(f"{a + b:03d}"[::-1]), "It reads its answer the wrong way round: the first digit that it says is the ones."),
    (without_carry, "It adds digit by digit and carries nothing."),
    (lambda a, b: (a + b) % 100, "The third digit of its answers is missing."),
    (lambda a, b: (a + b) // 10, "The last digit of its answers is missing."),
    (lambda a, b: a, "It repeats the first number."),
    (lambda a, b: b, "It repeats the second number."),
    (lambda a, b: a + b + 1, "All its answers are one too high."),
)  # fmt: skip


@within(240)
def adder(answer):
    """8.13: adder(pairs), a function that adds, learned from 2,000 sums and asked about others."""
    shown, asked = sums()
    with training_room():
        add = call(answer, shown)
        if not callable(add):
            raise NotYet(
                f"{answer.__name__}(pairs) returned {brief(add)}; a function of a and b was expected."
            )
        said = [added(add, a, b) for a, b in asked]
        right = sum(got == a + b for got, (a, b) in zip(said, asked, strict=True))
        if right >= RIGHT * len(asked):
            return (
                f"{right} of {len(asked)} sums that it was never shown, and the carry with them. (Python's + would have passed as well, and "
                "faster; but nobody had to teach it.)"
            )
        known = sum(added(add, a, b) == a + b for a, b in shown[:ASKED])
    by_heart = f" Of {ASKED} that it was shown, {known} are: it knows them by heart." * (
        known >= RIGHT * ASKED
    )
    raise NotYet(
        f"{right} of {len(asked)} sums that it was not shown are right; {math.ceil(RIGHT * len(asked))} were asked for.{by_heart} "
        f"{wrong_sum(said, asked)}"
    )


def added(add, a: int, b: int) -> int:
    """What the learner's function makes of a + b. NotYet unless it is a whole number."""
    got = call(add, a, b)
    if isinstance(got, Tensor) and got.numel() == 1:
        raise NotYet(
            f"Asked for {a} + {b}, your function returned a tensor. Take the number out with .item()."
        )
    if isinstance(got, bool) or not isinstance(got, int):
        raise NotYet(
            f"Asked for {a} + {b}, your function returned {brief(got)}, of type {type(got).__name__}; an int was expected."
        )
    return got


def wrong_sum(said: list[int], asked: list[tuple[int, int]]) -> str:
    """One wrong answer, and what all of them have in common."""
    wrong = [(got, a, b) for got, (a, b) in zip(said, asked, strict=True) if got != a + b]
    got, a, b = wrong[0]
    sentence = f"It says that {a} + {b} is {got}."
    for rule, name in OF_ADDERS:
        if sum(rule(a, b) == got for got, a, b in wrong) >= 0.9 * len(wrong):
            return f"{sentence} {name}"
    if len(set(said)) == 1:
        return f"{sentence} It says so whatever it is asked."
    ones = sum(got % 10 == (a + b) % 10 for got, (a, b) in zip(said, asked, strict=True))
    if ones > 0.9 * len(asked):
        return f"{sentence} The last digit is mostly right, and the carry is not yet there: train it longer."
    if ones < 0.3 * len(asked):
        return (
            f"{sentence} Not even the last digit is mostly right. Does the loss of the answer's digits come down, and does your function "
            "write the question as it was written in training?"
        )
    return f"{sentence} It is on its way: train it longer."


# 8.14

BELOW = 2.55  # of two layers, 64 wide: from scratch 2.56 at best, and 2.6 to 2.9 mostly; tuned with some care 2.51 to 2.54
TOO_GOOD = 2.30  # near this, lesson 7's networks had read all the names of train
ROWS, SLICE = 64, 300


@functools.cache
def languages() -> tuple[str, list[str], list[str], Vocabulary]:
    """The plays, 300 names to tune on, 500 others to judge by, and the characters of the plays."""
    plays, names = load_text(), split(load_names())
    return plays, names.train[:300], names.dev[:500], Vocabulary([plays], end=None)


def rows(texts: list[str], vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """X, Y (N, L) int64: what is read, filled up with line ends, and what follows, filled up with -100."""
    length = max(map(len, texts)) - 1
    X = torch.full((len(texts), length), vocabulary.encode("\n")[0])
    Y = torch.full((len(texts), length), -100)
    for place, text in enumerate(texts):
        numbers = torch.tensor(vocabulary.encode(text))
        X[place, : len(text) - 1], Y[place, : len(text) - 1] = numbers[:-1], numbers[1:]
    return X, Y


def ask(model, X: Tensor, size: int) -> Tensor:
    """The model's logits. NotYet unless they have the shape that logits have."""
    with torch.no_grad():
        got = call(model, X)
    seen = f"Asked about tokens of shape {tuple(X.shape)}, your model"
    if not isinstance(got, Tensor):
        raise NotYet(f"{seen} returned {brief(got)}, of type {type(got).__name__}; a tensor was expected.")
    if got.shape != (*X.shape, size):
        letters = " Those are the letters of the names; read both, plays and names, with the characters of the plays."
        raise NotYet(
            f"{seen} returned shape {tuple(got.shape)}; logits of shape {(*X.shape, size)} were expected."
            f"{letters * (got.dim() == 3 and got.shape[-1] in (26, 27, 28))}"
        )
    return got.detach().cpu().double()


def mean_loss(model, X: Tensor, Y: Tensor, size: int) -> float:
    """Nats per character over all targets of the rows."""
    total = 0.0
    for x, y in zip(X.split(ROWS), Y.split(ROWS), strict=True):
        logits = ask(model, x, size)
        total += F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="sum").item()
    return total / int((Y >= 0).sum())


def judged_alone(model, X: Tensor, size: int) -> None:
    """NotYet unless the answers are logits that depend on nothing but what has been read."""
    first, again = ask(model, X, size), ask(model, X, size)
    if not first.isfinite().all():
        raise NotYet("There are infinite numbers, or nan, among the logits of your model.")
    if not torch.allclose(first, again, atol=1e-4):
        raise NotYet(
            "Asked the same twice, your model gave two answers. Is dropout still on? model.eval() turns it off."
        )
    if first.min() >= 0 and torch.allclose(first.sum(-1), torch.ones(X.shape, dtype=first.dtype), atol=1e-3):
        raise NotYet("Your model answers with probabilities; logits were asked for, before the softmax.")
    place = X.shape[1] // 2
    other = X.clone()
    other[:, place:] = (other[:, place:] + 1) % size
    if not torch.allclose(ask(model, other, size)[:, :place], first[:, :place], atol=1e-4):
        raise NotYet(
            "Your model looks ahead: when a later letter is changed, an earlier answer moves. No loss of such a model means anything."
        )


@within(240)
def finetuned(answer):
    """8.14: finetuned(plays, names), a network that has read plays and is then tuned to 300 names."""
    plays, names, dev, vocabulary = languages()
    size = vocabulary.size
    with training_room():
        model = call(answer, plays, names)
        if not callable(model):
            raise NotYet(
                f"{answer.__name__}(plays, names) returned {brief(model)}, of type {type(model).__name__}; a network was expected."
            )
        new, old = (rows([f"\n{name}\n" for name in some], vocabulary) for some in (dev, names))
        judged_alone(model, new[0][:4], size)
        loss, known = mean_loss(model, *new, size), mean_loss(model, *old, size)
        length = new[0].shape[1]
        late = plays[-SLICE * (length + 1) :]
        lines = [late[start : start + length + 1] for start in range(0, len(late), length + 1)]
        verse = mean_loss(model, *rows(lines, vocabulary), size)
    measured = (
        f"{loss:.3f} on names that it was not given, {known:.3f} on the 300, {verse:.3f} on lines of verse."
    )
    if loss < BELOW:
        return verdict(loss, measured, names)
    raise NotYet(
        f"{measured} Below {BELOW} on new names was asked for. {what_went_wrong(loss, known, verse)}"
    )


def verdict(loss: float, measured: str, names: list[str]) -> str:
    if loss < TOO_GOOD:
        raise NotYet(
            f"{measured} So good were only networks that had read all {len(split(load_names()).train):,} names of train, and this one had "
            f"{len(names)}. Has it been shown others?"
        )
    return (
        f"{measured} From scratch, {len(names)} names carry a network of two layers to 2.56 at best. This one had to learn what a name is, and brought along what a "
        "letter is; the verse it is forgetting."
    )


def what_went_wrong(loss: float, known: float, verse: float) -> str:
    if known < loss - 0.5:
        return (
            "It knows the 300 by heart, and that is the trouble: fewer steps on the names, or a smaller rate."
        )
    if verse < 2.6 and loss > 2.9:
        return "It has read the plays and no names: it expects a line of verse. Go on with the names."
    if loss > 3.2:
        return "It has hardly read anything. Does the loss come down while it trains, on the plays and then on the names?"
    if verse > 4.2:
        return "That is no better than a network that never saw the plays, or has forgotten them: read those first, and tune gently."
    return "That is nearly it: change the number of steps on the names, or the rate, one at a time; gently is the word."


CHECKS = {"8.13": adder, "8.14": finetuned}
