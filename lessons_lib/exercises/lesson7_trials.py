"""The checks of lesson 7 about searching and comparing, 7.10 to 7.12."""

import csv
import functools
import math
import statistics
from collections import defaultdict

import torch

from lessons_lib import longer_ngrams
from lessons_lib.data import DATA, load_names, split
from lessons_lib.exercises.engine import NotYet, call, show_call, within
from lessons_lib.exercises.expect import brief
from lessons_lib.exercises.lesson4 import training_room
from lessons_lib.exercises.lesson7_rules import name_of
from lessons_lib.ladder import LETTERS, evaluate

READERS = DATA.parent / "experiments" / "readers.csv"


def row(trial: int, seed: int, dev: str = "2.27") -> dict[str, str]:
    """For 7.10: a row as csv.DictReader gives it."""
    return {"trial": str(trial), "seed": str(seed), "dev": dev}


def searches():
    """For 7.10: what is wanted, and the rows that are there."""
    yield [(0, 1)], []
    yield [(0, 1), (1, 1)], [row(0, 1)]
    yield [(0, 1), (1, 1)], [row(0, 1, "")]
    yield [(0, 1), (0, 2)], [row(0, 2)]
    yield [(0, 2), (1, 2)], [row(1, 1), row(0, 2)]
    yield [(2, 1), (0, 1), (1, 1), (10, 1)], [row(1, 1)]
    yield [(0, 1), (1, 1), (0, 1)], []
    yield [(1, 1), (2, 1)], [row(1, 1), row(1, 1, "")]
    yield [(1, 1), (2, 1)], [row(1, 1, ""), row(1, 1)]
    yield [(0, 1)], [row(0, 1), row(5, 1)]
    yield (
        [(7, 2), (12, 1), (7, 1), (3, 3), (12, 1), (0, 2), (3, 1), (7, 2)],
        [row(7, 1), row(3, 3, ""), row(0, 2), row(99, 1), row(0, 2), row(12, 2), row(3, 1, "")],
    )


def wrongly_missing(wanted, rows):
    """For 7.10: (list, name) of the usual mistakes."""
    once = list(dict.fromkeys(wanted))
    done = {(int(r["trial"]), int(r["seed"])) for r in rows if r["dev"]}
    begun = {(int(r["trial"]), int(r["seed"])) for r in rows}
    last = {(int(r["trial"]), int(r["seed"])): r["dev"] for r in rows}
    right = [pair for pair in once if pair not in done]
    yield (
        [pair for pair in once if pair not in begun],
        'A run that was broken off counts as done in yours; its dev is "".',
    )
    yield (
        [pair for pair in once if pair[0] not in {trial for trial, _ in done}],
        "The seeds are ignored: a trial is done with one seed, and yours takes it as done with all.",
    )
    yield (
        [pair for pair in once if pair[1] not in {seed for _, seed in done}],
        "The trials are ignored: yours looks at the seed alone.",
    )
    yield sorted(right), "The order is lost: trials are run in the order in which they are wanted."
    yield right[::-1], "The order is turned round."
    yield [pair for pair in wanted if pair not in done], "A pair that is wanted twice is run once."
    yield (
        [pair for pair in once if not last.get(pair)],
        "A finished run stays finished, also where a row that was broken off stands below it.",
    )
    yield (
        once,
        'Nothing counts as done in yours. What csv reads is text, and "3" is not 3.' if done else "",
    )
    yield wanted, 'Nothing counts as done in yours. What csv reads is text, and "3" is not 3.' if done else ""
    yield [pair for pair in once if pair in done], "Those are the ones that are done."
    yield (
        [pair for pair in once if pair in begun and pair not in done],
        "Those were broken off; what was never begun is missing, too.",
    )
    yield (
        [(str(trial), str(seed)) for trial, seed in right],
        "Those are texts; `wanted` has pairs of whole numbers.",
    )
    yield [trial for trial, _ in right], "Those are trials alone; pairs of trial and seed were asked for."


def missing(answer):
    """7.10: missing(wanted, rows), what a search that was broken off still has to run."""
    for wanted, rows in searches():
        done = {(int(r["trial"]), int(r["seed"])) for r in rows if r["dev"]}
        right = [pair for pair in dict.fromkeys(wanted) if pair not in done]
        got = call(answer, wanted, rows)
        written = ", ".join(f"{r['trial']}/{r['seed']}: {r['dev']!r}" for r in rows)
        seen = f"{answer.__name__}({wanted}, rows), with the rows (trial/seed: dev) {written or 'none'},"
        if not isinstance(got, list):
            raise NotYet(f"{seen} returned a {type(got).__name__}; a list was expected.")
        got = [tuple(one) if isinstance(one, list) else one for one in got]
        for part in (part for one in got for part in (one if isinstance(one, tuple) else [one])):
            if not isinstance(part, int | str):
                raise NotYet(f"{seen} returned {brief(got)}; pairs of whole numbers were expected.")
        if got == right:
            continue
        message = f"{seen} returned {got}; {right} was expected."
        for wrong, name in wrongly_missing(wanted, rows):
            if got == wrong != right:
                raise NotYet(f"{message} {name}".rstrip())
        raise NotYet(message)
    return "A search that may be broken off is one that you dare to start in the evening."


# 7.11: losses of two networks, so chosen that each of the mistaken rules below is wrong about one pair or more.
LOSSES = (
    ([2.30, 2.31, 2.29], [2.20, 2.21, 2.19]),
    ([2.20, 2.21, 2.19], [2.30, 2.31, 2.29]),
    ([2.25, 2.25, 2.25], [2.25, 2.25, 2.25]),
    ([2.241, 2.243, 2.242], [2.2428, 2.2408, 2.2448]),
    ([2.240, 2.300, 2.270], [2.241, 2.301, 2.271]),
    ([2.240, 2.250, 2.260], [2.251, 2.261, 2.271]),
    ([2.270, 2.280, 2.290], [2.255, 2.265, 2.275]),
    ([2.245, 2.255, 2.265], [2.270, 2.280, 2.260]),
    ([2.255, 2.265, 2.275], [2.270, 2.280, 2.2905]),
    ([2.260, 2.266, 2.263], [2.2535, 2.2595, 2.2565]),
    ([2.260, 2.270, 2.280, 2.265, 2.275, 2.270], [2.255, 2.265, 2.260]),
    ([2.271, 2.271, 2.272], [2.250, 2.280, 2.251, 2.281]),
    ([2.250, 2.251, 2.249], [2.249, 2.269, 2.259, 2.249, 2.269, 2.259, 2.251, 2.267]),
    ([2.249, 2.269, 2.259, 2.249, 2.269, 2.259, 2.251, 2.267], [2.268, 2.269, 2.267]),
)


def rules():
    """For 7.11: (verdict of two lists, name) of usual mistakes."""
    mean, std = statistics.fmean, statistics.stdev

    def error(a, b, std=std):
        return math.sqrt(std(a) ** 2 / len(a) + std(b) ** 2 / len(b))

    def apart(a, b):
        return abs(mean(a) - mean(b))

    yield (
        lambda a, b: mean(b) - mean(a) > 2 * error(a, b),
        "Yours sees a difference in one direction only: either may be the lower.",
    )
    yield (
        lambda a, b: mean(a) - mean(b) > 2 * error(a, b),
        "Yours sees a difference in one direction only: either may be the lower.",
    )
    yield (
        lambda a, b: apart(a, b) <= 2 * error(a, b),
        "It is the other way round: True means that the difference is larger than the noise.",
    )
    yield lambda a, b: apart(a, b) > error(a, b), "Once the standard error; twice was asked for."
    yield (
        lambda a, b: apart(a, b) > 2 * math.sqrt(std(a) ** 2 + std(b) ** 2),
        "That is the spread of single runs. A mean of n runs is surer: divide each variance by its n.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * error(a, b, statistics.pstdev),
        "Your std divides by n; with three runs n - 1 makes a difference.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * (std(a) / math.sqrt(len(a)) + std(b) / math.sqrt(len(b))),
        "Two errors do not add up like that: their squares do.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * math.sqrt(std(a) / len(a) + std(b) / len(b)),
        "Under the root belong the variances, s squared.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * (std(a) ** 2 / len(a) + std(b) ** 2 / len(b)),
        "The root is missing: that is a variance.",
    )
    yield (
        lambda a, b: abs(min(a) - min(b)) > 2 * error(a, b),
        "Your difference is that of the best runs. The best of some is luck; compare the means.",
    )
    yield (
        lambda a, b: max(a) < min(b) or max(b) < min(a),
        "Yours asks whether the lists overlap; the exercise asks about their means.",
    )
    yield (
        lambda a, b: mean(a) != mean(b),
        "Any difference is enough for yours; how large the noise is does not matter to it.",
    )
    yield (
        lambda a, b: apart(a, b) > 0.01,
        "Yours has a limit of its own; the noise of these runs has to set it.",
    )
    yield lambda a, b: True, "Yours always says yes."
    yield lambda a, b: False, "Yours always says no."
    yield (
        lambda a, b: apart(a, b) > 2 * math.sqrt((std(a) ** 2 + std(b) ** 2) / len(a)),
        "The lists may differ in length: each variance is divided by its own n.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * math.sqrt((std(a) ** 2 + std(b) ** 2) / len(b)),
        "The lists may differ in length: each variance is divided by its own n.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * std(a) / math.sqrt(len(a)),
        "The noise of the second list is not in it.",
    )
    yield (
        lambda a, b: apart(a, b) > 2 * std(b) / math.sqrt(len(b)),
        "The noise of the first list is not in it.",
    )


def is_worth_it(first, second):
    """Whether the means differ by more than twice the standard error of their difference."""
    variances = [statistics.variance(losses) / len(losses) for losses in (first, second)]
    return abs(statistics.fmean(first) - statistics.fmean(second)) > 2 * math.sqrt(sum(variances))


def worth_it(answer):
    """7.11: worth_it(first, second), whether a difference is larger than the noise."""
    for pair in LOSSES:
        got, right, seen = call(answer, *pair), is_worth_it(*pair), show_call(answer, *pair)
        if isinstance(got, torch.Tensor) and got.numel() == 1:
            raise NotYet(f"{seen} returned a tensor; bool(...) makes True or False of it.")
        if type(got).__module__ == "numpy" and type(got).__name__.startswith("bool"):
            got = bool(got)
        if not isinstance(got, bool):
            raise NotYet(f"{seen} returned {got!r}, a {type(got).__name__}; True or False was expected.")
        if got == right:
            continue
        apart = abs(statistics.fmean(pair[0]) - statistics.fmean(pair[1]))
        error = math.sqrt(sum(statistics.variance(losses) / len(losses) for losses in pair))
        raise NotYet(
            f"{seen} returned {got}; {right} was expected: the means are {apart:.4f} apart, and twice the standard error is "
            f"{2 * error:.4f}. {name_of(answer, LOSSES, rules())}".rstrip()
        )
    return "From now on a third decimal has to show its seeds before you believe it."


@functools.cache
def opponents() -> tuple[float, float, float]:
    """On dev, bundled: the mean of the tree, scaled up, and the best mean of all readers, from the file; and Kneser-Ney, counted."""
    losses = defaultdict(list)
    with READERS.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            if line["data"] == "bundled":
                losses[line["reader"]].append(float(line["dev"]))
    means = {name: statistics.fmean(all_of_it) for name, all_of_it in losses.items()}
    names = split(load_names())
    counted = longer_ngrams.kneser_ney(names.train, 5, LETTERS).loss(names.dev)
    return means["tree, scaled up"], min(means.values()), counted


ASKED = ["", "a", "mar", "deeann", "bartholomew", "zz"]


def answers(model, texts):
    """What the model says of the texts, called as a learner's function is. NotYet unless it has the shape of an answer."""
    with torch.no_grad():
        got = call(model, texts)
    seen = f"Asked about {texts!r}, your reader"
    if not isinstance(got, torch.Tensor):
        raise NotYet(f"{seen} returned a {type(got).__name__}; a tensor was expected.")
    if got.shape != (len(texts), LETTERS.size):
        raise NotYet(f"{seen} returned shape {tuple(got.shape)}; {(len(texts), LETTERS.size)} was expected.")
    return got.detach().cpu().double()


@within(200)
def reader(answer):
    """7.12: reader(), a model of the ladder that beats both the scaled tree and counting."""
    with training_room():
        model = call(answer)
        if not callable(model):
            raise NotYet(
                f"{answer.__name__}() returned a {type(model).__name__}; a function from texts to log-probabilities was expected."
            )
        return judged(model)


def judged(model) -> str:
    """The verdict on a reader that has been handed in."""
    first, again = answers(model, ASKED), answers(model, ASKED)
    if first.isnan().any():
        raise NotYet(f"Asked about {ASKED!r}, your reader answers with nan.")
    if not torch.allclose(first, again, atol=1e-4):
        raise NotYet(
            "Asked the same twice, your reader gave two answers. Is dropout still on? model.eval() turns it off."
        )
    if first.min() >= 0 and torch.allclose(
        first.sum(1), torch.ones(len(first), dtype=first.dtype), atol=1e-3
    ):
        raise NotYet("Your reader answers with probabilities; their logarithm was asked for.")
    if not (first.logsumexp(1).abs() < 1e-3).all():
        raise NotYet(
            "The rows of your reader are not log-probabilities: exp of each should sum to 1. Is a log_softmax missing?"
        )
    alone = torch.cat([answers(model, [text]) for text in ASKED])
    if not torch.allclose(alone, first, atol=1e-3):
        raise NotYet(
            "Your reader answers differently where a text is asked about alone and where others are beside it. Is BatchNorm still in "
            "training mode? Or do the texts get mixed?"
        )
    tree, best, counting = opponents()
    names = split(load_names())
    try:
        dev, train = (
            evaluate(lambda texts: call(model, texts), some)
            for some in (names.dev, names.train[: len(names.dev)])
        )
    except ValueError as error:  # evaluate has a sentence for every answer that is none
        raise NotYet(f"On the names of dev or train your reader was not understood: {error}") from error
    if dev < 1.9 or dev < train - 0.05:
        raise NotYet(
            f"{dev:.3f} on dev, and {train:.3f} on names of train. Nobody is better on names that are new. Has it been shown the dev names?"
        )
    if abs(dev - counting) < 1e-6:
        raise NotYet(
            f"{dev:.4f} on dev: that is the table of Kneser and Ney itself, to the last digit. It does well; what can you add to it?"
        )
    if dev >= min(tree, counting):
        which = "" if dev >= tree else " The tree is beaten, the counts are not."
        raise NotYet(
            f"{dev:.4f} on dev, {train:.4f} on names of train. The tree has {tree:.4f} and counting {counting:.4f}; be below both.{which}"
        )
    further = (
        f"Below the best mean of this lesson's readers, {best:.4f}, too."
        if dev < best
        else f"The best mean of this lesson's readers is {best:.4f}, if you want to go on."
    )
    return f"{dev:.4f} on dev: below the tree ({tree:.4f}) and, at last, below the counts ({counting:.4f}). {further}"
