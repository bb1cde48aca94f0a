"""The model ladder: what each model of the course says, and what it pays per character on names it has not seen.

A model, here, is a function from N contexts (the text so far within a name, "" at its start) to an (N, 27) tensor: the
log-probability of every character to come next. Anything that can answer that question fits on the ladder, from no knowledge
at all to a GPT. All rungs are measured on the same dev names, `split(load_names()).dev`, and speak from the same random
numbers. They stand in experiments/ladder.csv, made by experiments/ladder.py; a test computes them again and compares.
"""

import csv
import math
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor

from lessons_lib import ngrams
from lessons_lib.data import DATA, Vocabulary, load_names, split
from lessons_lib.sampling import generate

__all__ = [
    "LETTERS",
    "Rung",
    "evaluate",
    "my_name",
    "rungs",
    "samples",
    "score",
    "show_ladder",
    "uniform",
    "unigram",
    "without_context",
]

Model = Callable[[list[str]], Tensor]

LETTERS = Vocabulary([string.ascii_lowercase])
"""The 27 characters of the ladder: '.', the end of a name, and a to z."""

CSV = DATA.parent / "experiments" / "ladder.csv"
BATCH = 4096  # contexts handed to a model at a time
# Letters that Unicode does not take apart into a plain letter and an accent.
PLAIN = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"})


# The two reference models. Neither looks at the context.


def without_context(log_probabilities: Tensor) -> Model:
    """The model that expects the same characters everywhere: log_probabilities (27,), whatever the context."""
    return lambda contexts: log_probabilities.expand(len(contexts), -1)


uniform = without_context(torch.full((LETTERS.size,), -math.log(LETTERS.size), dtype=torch.float64))
"""Nothing learned: 27 characters, all equally likely; ln 27 = 3.2958 nats for any name."""


def unigram(names: Iterable[str]) -> Model:
    """How often each letter, and the end, occurs in `names`. A letter that never occurs gets probability 0: an infinite loss."""
    counts = Counter(character for name in names for character in name + LETTERS.end)
    counted = torch.tensor([counts[character] for character in LETTERS.characters], dtype=torch.float64)
    return without_context((counted / counted.sum()).log())


# What a model costs, and what it says.


def evaluate(model: Model, names: Iterable[str], vocabulary: Vocabulary = LETTERS) -> float:
    """Mean negative log-likelihood per character, in nats. A name of n letters is n + 1 predictions, its end being the last.

    Raises ValueError where there are no names, a name has a character that is not in the vocabulary, or the model does not
    return log-probabilities: one row per context, one column per character, exp of each row summing to 1 within 1e-3.
    """
    if isinstance(names, str):
        raise TypeError(
            f"evaluate takes a list of names, and this is one string, {_short(names)!r}: see `score`"
        )

    def predictions():
        for name in names:
            if vocabulary.end in name:
                raise ValueError(f"{name!r} has the end mark {vocabulary.end!r} inside")
            for position, number in enumerate(vocabulary.encode(name + vocabulary.end)):
                yield name[:position], number

    total, count, rest = 0.0, 0, predictions()
    while batch := list(islice(rest, BATCH)):
        contexts, numbers = map(list, zip(*batch, strict=True))
        with torch.no_grad():
            logs = model(contexts)
        if logs.shape != (len(contexts), vocabulary.size):
            raise ValueError(
                f"a model answers {len(contexts)} contexts with shape {(len(contexts), vocabulary.size)}; "
                f"this one answered with {tuple(logs.shape)}"
            )
        logs = logs.double()
        if not (logs.logsumexp(1).abs() <= 1e-3).all():
            raise ValueError("the model's rows are not log-probabilities: is a log_softmax missing?")
        total -= logs[torch.arange(len(numbers)), numbers].sum().item()
        count += len(numbers)
    if not count:
        raise ValueError("there are no names to evaluate on")
    return total / count


def score(name: str, model: Model, vocabulary: Vocabulary = LETTERS) -> float:
    """What one name costs the model, in nats per character, its end counted. Raises as `evaluate` does."""
    return evaluate(model, [name], vocabulary)


def samples(
    model: Model, vocabulary: Vocabulary = LETTERS, seed: int = 2147483647, count: int = 5
) -> list[str]:
    """Names that the model says, drawn with the same random numbers for every model; the seed is the lectures'.

    "." is a name that ended before its first letter, "…" closes one that was cut.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        return [generate(model, vocabulary, generator) or "." for _ in range(count)]


# The ladder itself.


class Rung(NamedTuple):
    """A line of experiments/ladder.csv; the fields are its columns."""

    rung: int
    lesson: int
    model: str
    parameters: int
    dev_loss: float  # nats per character
    seconds: float  # to train, on `machine`
    samples: tuple[str, ...]  # in the file: separated by spaces
    seed: int
    machine: str
    python: str
    torch: str


def rungs() -> list[Rung]:
    """The committed ladder, from the ground up. Raises FileNotFoundError where experiments/ladder.csv is missing."""
    with CSV.open(encoding="utf-8", newline="") as file:
        return [
            Rung(
                rung=int(row.pop("rung")),
                lesson=int(row.pop("lesson")),
                parameters=int(row.pop("parameters")),
                dev_loss=float(row.pop("dev_loss")),
                seconds=float(row.pop("seconds")),
                samples=tuple(row.pop("samples").split()),
                seed=int(row.pop("seed")),
                **row,
            )
            for row in csv.DictReader(file)
        ]


def show_ladder(upto: int) -> None:
    """Print the rungs of all lessons up to number `upto`: first what the models say, then what they cost.

    From lesson 2 on, which finds it, the floor follows for each length of memory that a rung has. Raises ValueError where the ladder has no rung that early.
    """
    shown = [rung for rung in rungs() if rung.lesson <= upto]
    if not shown:
        raise ValueError(f"the ladder begins at lesson 0, and you asked for it up to {upto}")
    print("Five names from each model, drawn with the same random numbers\n")
    for rung in shown:
        print(f"  {rung.model}\n      {'  '.join(rung.samples)}")
    print("\n  (. ended before its first letter; … had not ended after 16 letters and was cut)\n")
    print("What each pays on names it has not seen, in nats per character\n")
    width = max(len(rung.model) for rung in shown)
    print(f"  lesson  {'model':<{width}}    loss  perplexity  parameters  seconds")
    for rung in shown:
        print(
            f"  {rung.lesson:>6}  {rung.model:<{width}}  {rung.dev_loss:6.4f}  {math.exp(rung.dev_loss):>10.1f}"
            f"  {rung.parameters:>10,}  {rung.seconds:>7.2f}"
        )
    if upto >= 2:
        lengths = sorted({int(rung.model.split()[0]) for rung in shown if "of memory" in rung.model} | {0})
        train = split(load_names()).train
        print(
            "\nThe floor, below which no model with that many letters of memory gets on the names it learned from\n"
        )
        print("  " + "   ".join(f"{k}: {ngrams.floor(train, k, LETTERS):.4f}" for k in lengths))


# Your own name.


def my_name(name: str, models: dict[str, Model]) -> None:
    """Print what each model gives your own name, beside what guessing blindly (`uniform`) would.

    name:   yours, in any spelling: capitals and accents are taken off, and said to be. While it is `...`, an invitation.
    models: what to call it -> the model.
    """
    if name is not ... and not isinstance(name, str):
        raise TypeError(f'a name goes in quotes, like "ada"; this is {name!r}')
    typed = "" if name is ... else name.strip()
    plain = _plain(typed)
    if not plain:
        print(
            "No name yet. Put yours in place of the dots, in quotes, and each model will say how likely it is."
        )
        return
    strange = list(dict.fromkeys(character for character in plain if character not in string.ascii_lowercase))
    if strange:
        listed = ", ".join(map(repr, strange[:5]))
        print(
            f'The models know the letters a to z, and "{_short(plain)}" has {listed}. Try another spelling.'
        )
        return
    respelled = "" if plain == typed else f', from "{_short(typed)}": in small letters, without accents'
    print(_short(plain) + respelled)
    width = max(map(len, models), default=0)
    for label, model in models.items():
        nats = score(plain, model)
        # The log of how many times as likely the model makes the whole name, its end counted.
        gain = (math.log(LETTERS.size) - nats) * (len(plain) + 1)
        print(f"  {label:<{width}}  {nats:.2f} nats per character: {_in_words(gain)}")


def _plain(name: str) -> str:
    """The name in small letters without accents: "Zoë" gives "zoe", "Łukasz" gives "lukasz"."""
    apart = unicodedata.normalize("NFKD", name.casefold().translate(PLAIN))
    return "".join(character for character in apart if not unicodedata.combining(character))


def _short(text: str) -> str:
    return text if len(text) <= 30 else text[:30] + "…"


def _in_words(gain: float) -> str:
    """How likely, against uniform, for gain = log(probability / uniform probability)."""
    if gain == -math.inf:
        return "impossible, one of its characters has probability 0"
    digits = abs(gain) / math.log(10)
    if digits < 1:
        amount = f"{10**digits:.1f}"
    elif digits < 6:
        amount = f"{10**digits:,.0f}"
    else:
        amount = f"10^{digits:.0f}"  # exp(gain) itself may be too large for a float
    if amount == "1.0":
        return "as likely as by blind guessing"
    return f"{amount} times {'as likely as' if gain > 0 else 'less likely than'} by blind guessing"
