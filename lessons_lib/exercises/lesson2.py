"""The checks of lesson 2. Each takes your function, tries it, and says why it matters; `CHECKS` at the end lists them."""

import itertools
import math

import torch

from lessons_lib.exercises.engine import NotYet, call, expect_number, expect_tensor, show_call


def pairs(answer):
    """2.1: pairs(name), the pairs of neighbours with "." at both ends."""
    for name in ("mia", "a", "", "anna"):
        marked = f".{name}."
        wanted = list(itertools.pairwise(marked))
        seen = show_call(answer, name)
        got = call(answer, name)
        if not isinstance(got, list):
            raise NotYet(
                f"{seen} returned a {type(got).__name__}; a list was expected. Put list(...) around a zip."
            )
        if got and not all(isinstance(pair, tuple) and len(pair) == 2 for pair in got):
            raise NotYet(f"{seen} returned {got!r}; a list of pairs such as ('a', 'b') was expected.")
        if got == wanted:
            continue
        mistakes = [
            (
                list(itertools.pairwise(name)),
                "The ends are missing: the first letter has something before it, too.",
            ),
            (wanted[1:], "The beginning is missing: what comes after nothing is the first letter."),
            (wanted[:-1], "The end is missing: to stop is a decision like any other."),
            ([(b, a) for a, b in wanted], "First the character, then the one that follows it."),
            (
                list(zip(marked[::2], marked[1::2], strict=False)),
                "The pairs overlap: each letter ends one and begins the next.",
            ),
        ]
        for wrong, name_of_it in mistakes:
            if got == wrong:
                raise NotYet(f"{seen} returned {got!r}. {name_of_it}")
        raise NotYet(f"{seen} returned {got!r}; {wanted!r} was expected.")
    return (
        "A name of n letters is n + 1 lessons, and this is all the data preparation there is until lesson 4."
    )


def rows_to_probabilities(answer):
    """2.2: rows_to_probabilities(counts), each row divided by its sum."""
    for table in ([[1, 3], [2, 2]], [[1, 1, 2], [5, 0, 5]], [[0, 2, 1], [2, 0, 1], [1, 1, 4]]):
        counts = torch.tensor(table)
        seen = show_call(answer, counts)
        wanted = counts / counts.sum(1, keepdim=True)
        mistakes = [
            (counts / counts.sum(0), "Your columns add up to one, not your rows."),
            (counts / counts.sum(), "The whole table adds up to one; each row should."),
            (counts.float().softmax(1), "That is softmax; counts are not logits, they only need dividing."),
        ]
        if counts.shape[0] == counts.shape[1]:
            lying = (counts / counts.sum(1), "Your rows do not add up to one: the sums lie across. keepdim?")
            mistakes.insert(0, lying)
        expect_tensor(call(answer, counts), wanted, seen, mistakes)
    return "Row sums with keepdim: you will write this line, or softmax, which is it with an exp inside, in every lesson."


def draw(answer):
    """2.3: draw(probabilities, dart), the piece of the ruler on which the dart lands."""
    cases = [
        ([0.5, 0.5], 0.2, 0),
        ([0.5, 0.5], 0.7, 1),
        ([0.6, 0.3, 0.1], 0.85, 1),
        ([0.6, 0.3, 0.1], 0.95, 2),
        ([0.25, 0.75], 0.25, 1),
        ([0.0, 1.0], 0.0, 1),
        ([0.5, 0.0, 0.5], 0.5, 2),
        ([0.0, 0.0, 0.25, 0.75], 0.1, 2),
        ([0.7, 0.2, 0.1], 0.999999999, 2),
    ]
    for pieces, dart, wanted in cases:
        probabilities = torch.tensor(pieces)
        seen = show_call(answer, probabilities, dart)
        got = call(answer, probabilities, dart)
        if isinstance(got, bool) or not isinstance(got, int):
            raise NotYet(
                f"{seen} returned {got!r}, a {type(got).__name__}; an int was expected. int(...) makes one."
            )
        if got == wanted:
            continue
        if not 0 <= got < len(pieces):
            rounding = " In 32 bits these three add up to a hair less than 1." if dart > 0.999 else ""
            raise NotYet(f"{seen} returned {got}; there are pieces 0 to {len(pieces) - 1}.{rounding}")
        if pieces[got] == 0:
            raise NotYet(f"{seen} returned {got}, a piece of length 0, which no dart should hit.")
        if got == probabilities.argmax() and (dart, wanted) != (0.25, 1):
            raise NotYet(f"{seen} returned {got}, the longest piece; the dart landed on {wanted}.")
        raise NotYet(f"{seen} returned {got}; the dart landed on piece {wanted}.")
    return "Everything that the course's models ever say goes through this function."


def cost(answer):
    """2.4: cost(P, name), mean nats per character."""
    generator = torch.Generator().manual_seed(1)
    table = torch.rand(27, 27, generator=generator, dtype=torch.float64) + 0.1
    table /= table.sum(1, keepdim=True)
    for name in ("mia", "a", "zoe"):
        numbers = [0, *(ord(letter) - ord("a") + 1 for letter in name), 0]
        logs = [math.log(table[a, b]) for a, b in itertools.pairwise(numbers)]
        wanted = -sum(logs) / len(logs)
        likeliest = [math.log(table[a].max()) for a in numbers[:-1]]
        mistakes = {
            -wanted: "The sign: a cost is positive.",
            -sum(logs): "That is the sum; divide by the number of characters.",
            -sum(logs)
            / len(name): "The average is over the wrong number: the end of the name is a decision too.",
            -sum(logs[:-1]) / len(name): "The end of the name is missing.",
            -sum(logs[1:])
            / len(name): "The beginning is missing: the first letter is drawn from the row of '.'.",
            wanted / math.log(2): "That is in bits; nats use the natural logarithm.",
            -sum(likeliest)
            / len(likeliest): "That is for the likeliest characters; the cost is that of the ones that came.",
            -math.log(sum(map(math.exp, logs)) / len(logs)): "Logarithms first, then the mean.",
        }
        expect_number(call(answer, table, name), wanted, f"{answer.__name__}(P, {name!r})", mistakes)
    table[1, 2] = 0
    seen = f'{answer.__name__}(P, "ab"), where b never follows a,'
    got = call(answer, table, "ab")
    if got != math.inf:
        raise NotYet(f"{seen} returned {got!r}; what is impossible costs infinitely much, math.inf.")
    return "The lower the better, 0 for certainty, ln 27 for no idea: the one scale on which this course compares models."


def count_triples(answer):
    """2.5: count_triples(names), counts of each character after each two."""
    for names in (["mia"], ["a", "ab"], ["mia", "mi"], ["anna", "nan", "ann", "z"]):
        numbered = [[0, 0, *(ord(letter) - ord("a") + 1 for letter in name), 0] for name in names]
        seen = show_call(answer, names)
        whole = triples(numbered)
        mistakes = [
            (
                triples([numbers[1:] for numbers in numbered]),
                "The beginnings are missing: the first letter comes after '..'.",
            ),
            (
                triples([numbers[:-1] for numbers in numbered]),
                "The ends are missing: a name ends with one '.'.",
            ),
            (triples([numbers[1:-1] for numbers in numbered]), "Beginnings and ends are missing."),
            (whole.permute(2, 1, 0), "The axes are turned round: N[before the last, last, next]."),
            (whole.permute(1, 0, 2), "The first two axes are swapped: N[before the last, last, next]."),
            (whole.clamp(max=1), "Each triple is marked, not counted: += 1 and not = 1."),
        ]
        got = call(answer, names)
        expect_tensor(got, whole, seen, [m for m in mistakes if not torch.equal(m[0], whole)])
    return "Is it better than pairs? The lesson measures it a few cells further down, on names it has not counted."


def triples(numbered):
    counts = torch.zeros(27, 27, 27, dtype=torch.int64)
    for numbers in numbered:
        for a, b, c in zip(numbers, numbers[1:], numbers[2:], strict=False):
            counts[a, b, c] += 1
    return counts


def choose(answer):
    """2.6: choose(losses), the k with the lowest loss on dev."""
    for losses in (
        {1: (2.0, 2.5)},
        {0: (2.0, math.inf), 1: (2.2, 2.4)},
        {0.01: (2.06, 2.47), 0.1: (2.11, 2.369), 0.3: (2.18, 2.368), 1: (2.32, 2.43), 100: (3.07, 3.075)},
        {10: (2.7, 2.75), 0.1: (2.1, 2.3), 0.001: (2.0, 2.6)},
    ):
        got = call(answer, losses)
        seen = show_call(answer, losses)
        wanted = min(losses, key=lambda k: losses[k][1])
        if isinstance(got, int | float) and got == wanted and not isinstance(got, bool):
            continue
        if got == min(losses, key=lambda k: losses[k][0]):
            raise NotYet(
                f"{seen} returned {got!r}, best on the names it was counted on. New names are like dev."
            )
        if got == min(losses, key=lambda k: abs(losses[k][1] - losses[k][0])):
            raise NotYet(
                f"{seen} returned {got!r}, where train and dev differ least. A bad model can manage that."
            )
        if got == max(losses, key=lambda k: losses[k][1]):
            raise NotYet(f"{seen} returned {got!r}, the worst on dev. A loss should be low.")
        if got in [loss for both in losses.values() for loss in both]:
            raise NotYet(f"{seen} returned {got!r}, a loss. The k that belongs to it was asked for.")
        raise NotYet(f"{seen} returned {got!r}; {wanted!r} was expected.")
    return "Count on train, choose on dev, and touch test once: whoever chooses on test has no test any more."


def lean(answer):
    """2.7: lean(counts, shorter), one step of Witten and Bell's interpolation."""
    fair = torch.full((4,), 0.25, dtype=torch.float64)
    below = torch.tensor(
        [[0.7, 0.1, 0.1, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]], dtype=torch.float64
    )
    cases = [
        ([[3, 1, 0, 0], [0, 0, 0, 5]], fair),
        ([[3, 1, 0, 0], [0, 0, 0, 0]], fair),
        ([[[2, 0, 0, 1], [0, 0, 0, 0], [4, 4, 1, 1]], [[0, 9, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]]], below),
    ]
    for table, shorter in cases:
        counts = torch.tensor(table)
        total, kinds = counts.sum(-1, keepdim=True), (counts > 0).sum(-1, keepdim=True)
        wanted = torch.where(total > 0, (counts + kinds * shorter) / (total + kinds), shorter)
        seen = show_call(answer, counts, shorter)
        got = call(answer, counts, shorter)
        if isinstance(got, torch.Tensor) and got.is_floating_point() and got.isnan().any():
            raise NotYet(
                f"{seen} has {int(got.isnan().sum())} nans: a context that never occurred. Ask shorter there."
            )
        held = torch.where(total > 0, (counts + total * shorter) / (2 * total).clamp(min=1), shorter)
        one = torch.where(total > 0, (counts + shorter) / (total + 1), shorter)
        unweighted = (counts + shorter) / (total + kinds).clamp(min=1)
        swapped = torch.where(
            total > 0,
            (kinds * counts / total.clamp(min=1) + total * shorter) / (total + kinds).clamp(min=1),
            shorter,
        )
        mistakes = [
            (held, "Half and half: t is the number of different characters, not of counts."),
            (
                one,
                "t counts as 1 everywhere: it is the number of different characters seen after that context.",
            ),
            (unweighted, "The rows do not add up to one: shorter has to be multiplied by t."),
            (swapped, "The shares are swapped: v / (v + t) belongs to the counts."),
            (
                wanted.nan_to_num() * (total > 0),
                "A context that never occurred has all zeros; there, shorter is all you have.",
            ),
        ]
        expect_tensor(got, wanted, seen, [m for m in mistakes if not torch.allclose(m[0], wanted)])
    return "With this, memory never hurts. The best counting of the 1990s needed one idea more, and no more data."


CHECKS = {
    "2.1": pairs,
    "2.2": rows_to_probabilities,
    "2.3": draw,
    "2.4": cost,
    "2.5": count_triples,
    "2.6": choose,
    "2.7": lean,
}
