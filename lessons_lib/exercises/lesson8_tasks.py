"""The checks of lesson 8 that ask something of a model or of what it says: the leak test, top-k and sums as text, 8.9, 8.10, 8.12."""

import math

import torch
from torch import Tensor, nn

from lessons_lib.exercises.engine import NotYet, call, show_call
from lessons_lib.exercises.expect import brief
from lessons_lib.exercises.lesson8_attention import expect, normal
from lessons_lib.exercises.lesson8_tokens import of_rules
from lessons_lib.transformer import GPT

# 8.9


class Model(nn.Module):
    """tokens (B, T) -> logits (B, T, size): vectors of the tokens, mixed over time in some way, against all vectors."""

    def __init__(self, size: int, mix, what: str):
        super().__init__()
        self.size, self.mix, self.what = size, mix, what
        self.register_buffer("vectors", normal(size, 4, seed=size))

    def __repr__(self) -> str:
        return "model"

    def forward(self, tokens: Tensor) -> Tensor:
        return self.mix(self.vectors[tokens]) @ self.vectors.T


def earlier_mean(x: Tensor) -> Tensor:
    return x.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[:, None]


def hears(place: int, source: int, share: float = 1.0):
    """A mixing in which one place gets something from another one (-1 is the last), and that is all."""

    def mix(x: Tensor) -> Tensor:
        if max(place, source) >= x.shape[1]:
            return x
        x = x.clone()
        x[:, place] = x[:, place] + share * x[:, source].roll(1, -1)
        return x

    return mix


def next_one(x: Tensor) -> Tensor:
    return torch.cat([x[:, :-1] + 0.5 * x[:, 1:], x[:, -1:]], 1)


def all_to_all(x: Tensor) -> Tensor:
    return (x @ x.mT / 2).softmax(-1) @ x


def plain_gpt() -> GPT:
    """A small GPT in 64 bits, which does not look ahead."""
    kept = torch.get_rng_state()
    torch.manual_seed(0)
    model = GPT(9, block=8, width=8, heads=2, layers=2).double().requires_grad_(False).eval()
    torch.set_rng_state(kept)
    for parameter in model.parameters():
        parameter.mul_(20)
    model.what = "a GPT, which does not look ahead"
    return model


def suspects() -> list[tuple[tuple[nn.Module, Tensor], bool]]:
    """((model, tokens), whether it leaks)."""

    def tokens(B: int, T: int, size: int) -> Tensor:
        return torch.randint(size, (B, T), generator=torch.Generator().manual_seed(B * T))

    def case(size: int, mix, what: str, B: int, T: int, leak: bool):
        return (Model(size, mix, what), tokens(B, T, size)), leak

    mean = "one that averages each place with what came before it"
    return [
        case(5, lambda x: x, "a bigram, which sees the newest token alone", 1, 4, False),
        case(5, next_one, "one that sees one place ahead", 1, 4, True),
        case(6, earlier_mean, mean, 2, 5, False),
        case(4, lambda x: 0 * x, "one that says the same whatever it reads", 2, 3, False),
        case(5, lambda x: x.roll(1, 1) * (torch.arange(x.shape[1]) > 0)[:, None], "one that sees the token before", 1, 4, False),
        case(6, hears(3, 1), "a bigram whose place 3 hears place 1, too, which is earlier", 2, 5, False),
        case(6, lambda x: x + x.mean(1, keepdim=True), "one that adds the mean of all places", 2, 3, True),
        case(7, hears(0, -1), "a bigram whose first place sees the last", 2, 6, True),
        case(7, hears(0, 2), "a bigram whose first place sees place 2", 2, 6, True),
        case(7, hears(2, 3), "a bigram whose place 2 sees place 3", 3, 6, True),
        case(5, hears(1, 4, 0.001), "a bigram whose place 1 sees place 4, faintly", 2, 6, True),
        case(8, all_to_all, "one with attention and no mask", 1, 2, True),
        case(9, earlier_mean, mean, 2, 1, False),
        ((plain_gpt(), tokens(2, 8, 9)), False),
    ]  # fmt: skip


def moves(model, tokens, change, compare, tolerance=1e-7) -> bool:
    """Whether, for some place of `change`, an answer at a place of compare(place) moves when the token there does."""
    before = model(tokens)
    for place in change:
        other = tokens.clone()
        other[:, place] = (other[:, place] + 1) % model.size
        there = list(compare(place))
        if there and (model(other) - before)[:, there].abs().max() > tolerance:
            return True
    return False


def leaky(model, tokens) -> bool:
    """What 8.9 asks for: each token is changed, and no answer before it may move."""
    return moves(model, tokens, range(tokens.shape[1]), range)


def later(place, T):
    return range(place + 1, T)


OF_LEAKS = (
    (lambda model, tokens: not leaky(model, tokens), "It is the other way round: True means that something leaks."),
    (lambda model, tokens: False, "Yours finds no leak anywhere. Is the changed token really another one, and are answers compared that stand before it?"),
    (
        lambda model, tokens: moves(model, tokens, range(tokens.shape[1]), lambda t: range(tokens.shape[1])),
        "The answers at the changed place and after it may move, and the last one may see everything: only those before the change may not move.",
    ),
    (
        lambda model, tokens: moves(model, tokens, range(tokens.shape[1]), lambda t: range(t + 1)),
        "The answer at the changed place itself may move: it has just read another token. Only those before it may not.",
    ),
    (
        lambda model, tokens: moves(model, tokens, range(tokens.shape[1]), lambda t: later(t, tokens.shape[1])),
        "Those are the answers after the change, which should move. A leak runs backwards.",
    ),
    (
        lambda model, tokens: moves(model, tokens, [0], lambda t: later(t, tokens.shape[1])),
        "You changed the first token, and before it there is nothing that could leak.",
    ),
    (
        lambda model, tokens: moves(model, tokens, [tokens.shape[1] - 1], range),
        "Only the last token was changed. A leak may lie between two places in the middle.",
    ),
    (
        lambda model, tokens: moves(model, tokens, range(1, tokens.shape[1]), lambda t: [t - 1]),
        "Only the answer directly before the change was compared; a leak may reach further.",
    ),
    (
        lambda model, tokens: moves(model, tokens, range(1, tokens.shape[1]), lambda t: [0]),
        "Only the first answer was compared; a leak may end at any place before the change.",
    ),
    (
        lambda model, tokens: moves(model, tokens, range(1, tokens.shape[1])[:1], range),
        "Only the second token was changed; a leak may begin at any place.",
    ),
    (
        lambda model, tokens: moves(model, tokens, range(tokens.shape[1]), range, tolerance=0.02),
        "A leak may be faint. What must not move does not move at all, but for rounding.",
    ),
    (lambda model, tokens: True, "Yours calls every model leaky."),
)  # fmt: skip


def leaks(answer):
    """8.9: leaks(model, tokens), whether a later token changes an earlier answer."""
    cases = suspects()
    for (model, tokens), wanted in cases:
        seen = f"{answer.__name__}(model, tokens of shape {tuple(tokens.shape)}), where the model is {model.what},"
        try:
            got = call(answer, model, tokens)
        except NotYet as told:
            raise NotYet(
                str(told).replace(show_call(answer, model, tokens), seen.rstrip(","))
            ) from told.__cause__
        if isinstance(got, Tensor) and got.numel() == 1:
            raise NotYet(f"{seen} returned a tensor; bool(...) makes True or False of it.")
        if type(got).__module__ == "numpy" and type(got).__name__.startswith("bool"):
            got = bool(got)
        if not isinstance(got, bool):
            raise NotYet(
                f"{seen} returned {brief(got)}, of type {type(got).__name__}; True or False was expected."
            )
        if got != wanted:
            name = of_rules(lambda m, t: bool(answer(m, t)), [case for case, _ in cases], OF_LEAKS)
            raise NotYet(f"{seen} returned {got}; {wanted} was expected. {name}".rstrip())
    return "A model that leaks has a wonderful loss and writes nonsense. Run this on every model before you believe its loss."


# 8.10


def keep_best(answer):
    """8.10: keep_best(logits, k), the k largest of each row, and -inf for the rest."""
    minus, row = -math.inf, torch.tensor
    for logits, k in (
        (row([1.0, 3.0, 2.0]), 1),
        (row([1.0, 3.0, 2.0, -4.0]), 2),
        (row([-3.0, -1.0, -2.0]), 2),
        (row([[1.0, 2.0, 3.0], [30.0, 20.0, 10.0]]), 2),
        (row([1.0, 2.0, 3.0]), 3),
        (row([2.0, 5.0, 5.0, 1.0]), 1),
        (row([4.0, 7.0, 4.0, 4.0, 1.0]), 2),
        (row([1.0, 2.0, 3.0]), 5),
        (normal(5, 11, seed=0), 4),
        (normal(3, 62, seed=1, dtype=torch.float32), 10),
        (row([[0.5, minus, 0.1, minus], [minus, minus, 1.0, 0.0]]), 3),
    ):
        size = logits.shape[-1]
        order = logits.sort(-1, descending=True).values
        place = min(k, size)
        edge = order[..., place - 1 : place]
        wanted = torch.where(logits >= edge, logits, minus)
        strictly = torch.zeros_like(logits, dtype=torch.bool).scatter(
            -1, logits.topk(place, -1).indices, True
        )
        below, flat = (
            order[..., min(place, size - 1)].unsqueeze(-1),
            logits.flatten().sort(descending=True).values,
        )
        smallest = order[..., size - place].unsqueeze(-1)
        mistakes = [
            (torch.where(logits >= edge, logits, 0), "A logit of 0 is an answer like any other: exp(0) is 1. What is to have no chance gets -inf."),
            (torch.where(logits <= smallest, logits, minus), "Those are the k smallest."),
            (torch.where(logits > edge, logits, minus), "The k-th itself is lost: keep what is equal to it, too."),
            (torch.where(logits >= below, logits, minus), "Those are k + 1: the place of the k-th is k - 1, counted from 0."),
            (torch.where(strictly, logits, minus), "Logits as large as the k-th are kept, all of them: which of two equals should go?"),
            (wanted.softmax(-1), "Those are probabilities; logits were asked for, before any softmax."),
            (logits.topk(place, -1).values, "Those are the k largest alone. Keep the shape, so that each token keeps its number."),
            (logits.topk(place, -1).indices, "Those are the places of the k largest; their logits were asked for, in a row as long as before."),
            (torch.where(logits >= edge, 1.0, minus).to(logits.dtype), "What is kept keeps its logit."),
            (torch.where(logits >= edge, logits, -1e9), "That is -1e9, small but finite; -inf is what makes the chance 0 and nothing else."),
            (torch.where(logits >= flat[min(k, flat.numel()) - 1], logits, minus), "One threshold for the whole batch: each row has its own k best."),
            (torch.where(logits >= edge.flatten()[0], logits, minus), "The threshold of the first row was used for all."),
            (torch.where(logits >= edge, minus, logits), "It is the other way round: the best have gone."),
            (logits, "Nothing was taken away."),
        ]  # fmt: skip
        seen = show_call(answer, logits, k)
        try:
            got = call(answer, logits, k)
        except NotYet as told:
            more = " Fewer than k are there: then all of them are kept." * (k > size)
            raise NotYet(f"{told}{more}") from told.__cause__
        expect(got, wanted, seen, mistakes, logits.dtype)
    return "Temperature makes the unlikely rarer; this makes it impossible. A single bad token is enough to lead a text astray."


# 8.12

SIGNS = "0123456789+="
SUMS = ((3, 4, 1), (7, 8, 1), (0, 0, 1), (12, 34, 2), (99, 99, 2), (5, 90, 2), (123, 877, 3), (7, 65, 3))


def as_text(a, b, digits, turned=True, padded=True, room=1, question_turned=False) -> str:
    answer = f"{a + b:0{digits + room}d}" if padded else f"{a + b}"
    first, second = (f"{one:0{digits}d}" if padded else f"{one}" for one in (a, b))
    if question_turned:
        first, second = first[::-1], second[::-1]
    return f"{first}+{second}={answer[::-1] if turned else answer}"


def as_example(a, b, digits, ignore=-100, moved=0, shift=True, view=False, nothing=False, **text):
    """(X, Y) of 8.12, and by its keywords what is often made of it. moved: so many targets more are ignored."""
    numbers = torch.tensor([SIGNS.index(sign) for sign in as_text(a, b, digits, **text)])
    X, Y = numbers[:-1].clone(), (numbers[1:] if shift else numbers[:-1]).clone()
    Y[: 0 if nothing else as_text(a, b, digits, **text).index("=") + moved] = ignore
    if view:
        X[1:] = torch.where(Y[:-1] == ignore, ignore, X[1:])
    return X, Y


def as_lists(pair) -> list[list[int]]:
    return [one.tolist() for one in pair]


OF_SUMS = tuple((lambda a, b, digits, changed=changed: as_lists(as_example(a, b, digits, **changed)), name) for changed, name in (
    ({"turned": False}, "The digits of the sum are not reversed: the ones come first, so that a carry is known when it is needed."),
    ({"question_turned": True}, "The question is reversed, too; only the digits of the sum are."),
    ({"question_turned": True, "turned": False}, "You reversed the question; the digits of the sum are to be."),
    ({"view": True}, "X has -100 in it: Y is a view of the same numbers. Take a .clone() before you write."),
    ({"moved": -1}, "The = is a target in yours. It belongs to the question: the first target is the first digit of the answer, at the place of the =."),
    ({"moved": 1}, "The first digit of the answer is ignored. It is predicted at the place of the =."),
    ({"nothing": True}, "Nothing is ignored: the network would have to guess the question as well."),
    ({"ignore": 0}, "Ignored is -100, by torch's own default. 0 is a digit, and would be learned."),
    ({"ignore": -1}, "Ignored is -100, torch's own default for cross_entropy; -1 would have to be announced."),
    ({"shift": False}, "Y is not shifted: at each place stands the character that comes next."),
    ({"padded": False}, "Short numbers are filled up with zeros in front, so that ones stand under ones: 05+03=80."),
    ({"room": 0}, "The sum has one digit more than its parts, be it a 0: 99 + 99 needs three."),
))  # fmt: skip


def sum_example(answer):
    """8.12: sum_example(a, b, digits), a sum as a text of which only the answer is a target."""
    for a, b, digits in SUMS:
        text = as_text(a, b, digits)
        seen = f"{show_call(answer, a, b, digits)}, whose text is {text!r},"
        got = call(answer, a, b, digits)
        if not isinstance(got, tuple | list) or len(got) != 2:
            raise NotYet(f"{seen} returned {brief(got)}; a pair of tensors was expected, X and Y.")
        right = as_example(a, b, digits)
        if not all(isinstance(one, Tensor) for one in got):
            raise NotYet(
                f"{seen} returned {brief(got)}; two tensors were expected. torch.tensor(...) makes one of a list."
            )
        if same(got, right):
            continue
        X, Y = (one.tolist() for one in right)
        message = (
            f"{seen} returned X = {got[0].tolist()} and Y = {got[1].tolist()}; X = {X} and Y = {Y} expected."
        )
        if name := of_rules(lambda *sum_of: as_lists(answer(*sum_of)), SUMS, OF_SUMS):
            raise NotYet(f"{message} {name}")
        if as_lists(got) == as_lists(right):
            raise NotYet(
                f"{seen} returned the right numbers as {got[0].dtype} and {got[1].dtype}; int64 was expected."
            )
        whole = [SIGNS.index(sign) for sign in text]
        more = " The last character has nothing after it, and is not in X." * (
            got[0].tolist() == whole
        ) or " Y comes first in yours." * same(got[::-1], right)
        raise NotYet(f"{message}{more}")
    return "A language with ten words and two signs, and a question may be asked in it. The loss listens to the answers alone."


def same(got, wanted) -> bool:
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(got, wanted, strict=True))


CHECKS = {"8.9": leaks, "8.10": keep_best, "8.12": sum_example}
