"""The checks of lesson 3. Each takes your function, tries it, and says why it matters; `CHECKS` at the end lists them."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons_lib import ngrams
from lessons_lib.data import load_names, split
from lessons_lib.exercises.engine import NotYet, call, expect_tensor, show_call, within
from lessons_lib.exercises.expect import brief
from lessons_lib.ladder import LETTERS


def one_hot(answer):
    """3.1: one_hot(xs, size), a float row for each number, with a single 1."""
    for numbers, size in (([1], 3), ([2, 0], 3), ([0, 3, 3, 1], 4), ([26, 0, 5, 5, 13, 1], 27)):
        xs = torch.tensor(numbers)
        wanted = F.one_hot(xs, size).float()
        marked = wanted.sum(0).clamp(max=1)
        mistakes = [
            (wanted.T, "Turned round: a row is an example, and a column an input line."),
            (wanted.roll(-1, 1), "The 1 is one place too far left: the count of places begins at 0."),
            (
                wanted * xs[:, None],
                "The number itself stands where the 1 should: it is a name, not an amount.",
            ),
            (xs[:, None].expand(-1, size), "Each row repeats its number; all but one place should be 0."),
            (marked.expand(len(xs), -1), "All rows got the 1 of every example: pick one place in each row."),
            (marked, "All examples went into one row; each should have its own."),
        ]
        expect_tensor(call(answer, xs, size), wanted, show_call(answer, xs, size), mistakes)
    return "This is how anything that has a name instead of a size gets into a network: letters, words, users, towns."


def softmax(answer):
    """3.2: softmax(logits), row by row."""
    tables = [[[0.0, 1.0]], [[1.0, 2.0], [0.0, -1.0]], [[0.5, -2.0, 1.0], [3.0, 0.0, -0.5]]]
    generator = torch.Generator().manual_seed(2)
    for logits in [*map(torch.tensor, tables), torch.randn(5, 27, generator=generator)]:
        wanted, powers = logits.softmax(1), logits.exp()
        mistakes = [
            (
                logits.softmax(0),
                "Your columns add up to one: a row is one question, dimension 1 runs along it.",
            ),
            (powers / powers.sum(), "The whole table adds up to one; each row should."),
            (powers, "The exponentials are there; now divide each row by its sum."),
            (wanted.log(), "Those are the logarithms of the probabilities."),
            (logits / logits.sum(1, keepdim=True), "The exponential is missing: there are negative shares."),
            (
                logits.abs() / logits.abs().sum(1, keepdim=True),
                "The exponential is missing; abs loses the sign.",
            ),
            (
                2**logits / (2**logits).sum(1, keepdim=True),
                "2 to the power of the logits; e was meant, `exp`.",
            ),
        ]
        if logits.shape[0] == logits.shape[1]:
            lying = (powers / powers.sum(1), "Your rows do not add up to one: the sums lie across. keepdim?")
            mistakes.insert(0, lying)
        expect_tensor(call(answer, logits), wanted, show_call(answer, logits), mistakes)
    return "Numbers of any sign and size become probabilities, and slopes go through: nearly every network ends like this."


def mean_cost(answer):
    """3.3: mean_cost(logits, ys), the mean negative log-likelihood of the characters that came."""
    generator = torch.Generator().manual_seed(3)
    for n, size in ((2, 3), (3, 3), (5, 27)):
        logits, ys = random_questions(n, size, generator)
        expect_cost(call(answer, logits, ys), logits, ys, show_call(answer, logits, ys))
    expect_slopes(answer)
    return "Whatever produces the logits from here on, a table or a transformer, this is what it will be asked to lower."


def random_questions(n: int, size: int, generator) -> tuple[Tensor, Tensor]:
    """Logits (n, size) and answers (n,), never the likeliest character in all rows."""
    logits = torch.randn(n, size, generator=generator)
    return logits, (logits.argmax(1) + 1 + torch.arange(n) % 2) % size


def expect_cost(got, logits: Tensor, ys: Tensor, seen: str) -> None:
    """NotYet unless got is the cross-entropy, a tensor of shape ()."""
    wanted = F.cross_entropy(logits, ys)
    each = torch.arange(len(ys))
    probs = logits.softmax(1)
    picked = probs[each, ys]
    mistakes = [
        (-wanted, "The sign: a cost is positive."),
        (wanted * len(ys), "That is the sum; a mean does not grow with the number of questions."),
        (-picked.log(), "Those are the costs of all questions; one number was wanted, their mean."),
        (
            -probs.amax(1).log().mean(),
            "The sharpest opinion of each row was taken; ys says which one counts.",
        ),
        (
            -logits.softmax(0)[each, ys].log().mean(),
            "Softmax ran down the columns: dimension 1 runs along a row.",
        ),
        (-logits[each, ys].mean(), "Logits were picked, not probabilities: softmax is missing."),
        (picked.mean(), "The mean probability: minus and the logarithm are missing."),
        (1 - picked.mean(), "Logarithms are missing: it is -log p that is averaged, not 1 - p."),
        (-picked.mean().log(), "Logarithms first, then the mean."),
        (
            -probs[:, ys].log().mean(),
            "That takes all those columns of every row: pick one place a row, with arange beside ys.",
        ),
        (-probs.log().mean(), "The mean over all characters; only the one that came is paid for."),
        (wanted / math.log(2), "That is in bits; nats use the natural logarithm."),
    ]
    expect_tensor(got, wanted, seen, mistakes)


def expect_slopes(answer) -> None:
    """NotYet unless slopes flow back to the logits."""
    logits, ys = random_questions(3, 4, torch.Generator().manual_seed(4))
    right, tried = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    got = call(answer, tried, ys)
    seen = f"{answer.__name__}(logits, ys), with logits that require a gradient,"
    if not got.requires_grad:
        raise NotYet(
            f"{seen} returned a tensor that no slope gets through: is there .item(), .detach() or no_grad?"
        )
    got.backward()
    F.cross_entropy(right, ys).backward()
    expect_tensor(tried.grad, right.grad, f"{seen} is right, and the slopes that backward")


def cross_entropy(answer):
    """3.4: cross_entropy(logits, ys), stable for large logits."""
    generator = torch.Generator().manual_seed(5)
    for n, size in ((2, 3), (3, 3), (4, 27)):
        logits, ys = random_questions(n, size, generator)
        expect_cost(call(answer, logits, ys), logits, ys, show_call(answer, logits, ys))
    steep = [
        ([[1000.0, 0.0]], [0]),
        ([[1000.0, 0.0]], [1]),
        ([[1000.0, 999.0], [-1000.0, -1001.0]], [1, 0]),
        ([[-200.0, -201.0, -202.0]], [2]),
        ([[0.0, 90.0, -90.0], [300.0, 300.0, 300.0]], [2, 0]),
    ]
    for rows, answers in steep:
        logits, ys = torch.tensor(rows), torch.tensor(answers)
        wanted, seen = F.cross_entropy(logits, ys), show_call(answer, logits, ys)
        got = call(answer, logits, ys)
        if isinstance(got, Tensor) and got.isnan().any():
            why = "An exponential became infinite, or a row of them 0. Take away each row's own largest logit first."
            raise NotYet(f"{seen} returned nan; {wanted:.4f} was expected. {why}")
        if isinstance(got, Tensor) and got.isinf().any():
            why = "Something was rounded to 0 before its logarithm. Take the log of the sum, minus the logit, and mind that "
            why += "each row has a largest logit of its own."
            raise NotYet(f"{seen} returned inf; {wanted:.4f} was expected. {why}")
        p = logits.softmax(1)[torch.arange(len(ys)), ys]
        patched = [-(p + tiny).log().mean() for tiny in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)]
        patched += [-p.clamp(min=tiny).log().mean() for tiny in (1e-12, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)]
        cut = F.cross_entropy(logits.clamp(-80, 80), ys)
        mistakes = [(m, "A small number added to a probability hides the true cost.") for m in patched]
        mistakes += [(cut, "Cut logits are other logits: those of 1000 and 90 should differ.")]
        expect_tensor(got, wanted, seen, mistakes)
    expect_slopes(answer)
    return (
        "Hence F.cross_entropy, fed with logits: stable, and with a slope as plain as softmax minus one-hot."
    )


def slope(answer):
    """3.5: slope(W, N), the gradient of the count-weighted loss."""
    generator = torch.Generator().manual_seed(6)
    for counts in (
        [[3, 1]],
        [[1, 3], [2, 2]],
        [[4, 0, 1], [0, 5, 5], [1, 1, 0]],
        [[2, 1, 1], [0, 0, 0], [3, 0, 6]],
    ):
        N = torch.tensor(counts)
        W = torch.randn(N.shape, generator=generator, dtype=torch.float64)
        asked, total, P = N.sum(1, keepdim=True), N.sum(), W.softmax(1)
        wanted = (asked * P - N) / total
        shares = N / asked.clamp(min=1)
        mistakes = [
            (-wanted, "The sign: a pair that is expected too often should have a positive slope."),
            (wanted * total, "The total is missing: the loss is a mean over all pairs."),
            (P - shares, "Every row weighs the same; one that is asked more often pulls harder."),
            ((P - shares) / len(N), "Every row weighs the same; one that is asked more often pulls harder."),
            (P - N / total, "The probabilities of a row count once for each of its questions."),
            (P - N, "The probabilities of a row count once for each of its questions."),
            (
                wanted * total / N.numel(),
                "Divide by the number of pairs that came, not by the cells of the table.",
            ),
            (asked * P / total, "That is only what was expected; what came is still to be taken away."),
            (-N / total, "That is only what came; the slope of the log of the sum is missing."),
            ((asked * W - N) / total, "Expected counts come from probabilities; softmax is missing."),
            (
                (asked * W.softmax(0) - N) / total,
                "Softmax ran down the columns: dimension 1 runs along a row.",
            ),
        ]
        got = call(answer, W, N)
        seen = show_call(answer, W, N)
        if isinstance(got, Tensor) and got.isnan().any():
            raise NotYet(f"{seen} has nans: a row without counts has the slope 0, not 0 / 0.")
        expect_tensor(got, wanted, seen, mistakes, tolerance=1e-6)
    return "Expected minus counted: it stays true for every network that ends in softmax, and lesson 6 derives it again."


def penalised(answer):
    """3.6: penalised(W, N, strength), the loss with the pull towards zero."""
    generator = torch.Generator().manual_seed(7)
    for size, strength in ((2, 0.0), (2, 1.0), (3, 0.5), (27, 0.01)):
        W = torch.randn(size, size, generator=generator, dtype=torch.float64) + 0.3
        N = torch.randint(0, 9, (size, size), generator=generator) + torch.eye(size, dtype=torch.int64)
        cost = -(N * W.log_softmax(1)).sum() / N.sum()
        P = W.softmax(1)
        mistakes = [
            (cost, "The pull is missing."),
            ((W**2).mean() * strength, "The loss itself is missing."),
            (
                cost + strength * W.mean(),
                "That is the mean of W: positive and negative weights cancel. Square first.",
            ),
            (
                cost + strength * W.mean() ** 2,
                "Squares first, then the mean: so, positive and negative cancel.",
            ),
            (
                cost + strength * W.abs().mean(),
                "That pulls with the absolute values, called L1; squares were asked.",
            ),
            (cost + strength * (W**2).sum(), "You added the squares up; their mean was asked."),
            (cost + strength * (W**2).mean().sqrt(), "Without the root: the mean of the squares."),
            (cost + strength * (W**2).mean() / 2, "No half here: λ times the mean of the squares."),
            (cost + (W**2).mean(), "The strength is missing: the pull has to be adjustable."),
            (cost - strength * (W**2).mean(), "The sign: with a minus, large weights would pay."),
            (cost + strength * (P**2).mean(), "It is the weights that are pulled, not the probabilities."),
        ]
        seen = f"{answer.__name__}(W, N, {strength}), with {size} x {size} weights,"
        expect_tensor(
            call(answer, W, N, strength), cost + strength * (W**2).mean(), seen, mistakes, tolerance=1e-9
        )
    return "Weight decay is in the recipe of every large model; there it has more to do than here."


def logits_after_two(answer):
    """3.7: logits_after_two(W, firsts, seconds), rows of a table of V * V by index."""
    generator = torch.Generator().manual_seed(8)
    for size, pairs in (
        (3, [(0, 1)]),
        (3, [(2, 0), (0, 2), (2, 2)]),
        (27, [(13, 1), (0, 0), (26, 26), (1, 26)]),
    ):
        W = torch.randn(size * size, size, generator=generator)
        firsts, seconds = torch.tensor(pairs).unbind(1)
        wanted = W[firsts * size + seconds]
        mistakes = [
            (
                W[seconds * size + firsts],
                "The two letters are swapped: the first is the slow one, like tens.",
            ),
            (W[firsts * (size - 1) + seconds], "A step of the first letter is V rows, not V - 1."),
            (W[firsts + seconds], "Different pairs share a row: 1 and 2 add up to the same as 2 and 1."),
            (W[firsts] + W[seconds], "Two rows were added; each pair has one row of its own."),
            (W[seconds], "The first letter has no say."),
            (W[firsts], "The second letter has no say."),
            (W[firsts * size], "The second letter has no say."),
            (wanted.T, "Turned round: a row is an example."),
            (
                wanted.softmax(1),
                "Those are probabilities; logits were asked, and softmax is the loss's business.",
            ),
        ]
        try:
            got = call(answer, W, firsts, seconds)
        except NotYet as failed:
            if size < 27 and isinstance(failed.__cause__, IndexError):
                why = "Is 27 written in? This table has 3 columns, so 3 rows for each first letter."
                raise NotYet(f"{failed} {why}") from failed.__cause__
            raise
        expect_tensor(got, wanted, show_call(answer, W, firsts, seconds), mistakes)
    return "No one-hot row, no product, the same slopes: an embedding, here with a whole context for a word."


@within(60)
def learn_triples(answer):
    """3.8: learn_triples(train, dev), logits for every character after every two, judged on names of neither."""
    parts = split(load_names(), seed=3)  # not the lesson's split: its tables cannot be handed in
    new = ngrams.count(parts.test, 3, LETTERS)
    long = [ngrams.count(part, 3, LETTERS) for part in (parts.train, parts.dev)]
    # So few names want far more smoothing than the long list, and only dev can tell.
    few = [ngrams.count(part[:FEW], 3, LETTERS) for part in (parts.train, parts.dev)]
    logits, cost, best = expect_learned(answer, *long, new, 0.02, f"{answer.__name__}(train, dev)")
    on_few = f"{answer.__name__}(train, dev), with the counts of {FEW} names each,"
    _, cost_few, best_few = expect_learned(answer, *few, new, 0.05, on_few)
    said = (
        f"On new names it costs {cost:.4f}, and the best counted table {best:.4f}; "
        f"learned from {FEW} names, {cost_few:.4f} and {best_few:.4f}. "
    )
    if counted(logits, long[0]):
        return f"{said}That is a counted table, and it passes: whoever hands in counts has understood the lesson."
    return f"{said}A memory of three would need 531,441 weights; lesson 4 makes do with a small part of that."


FEW = 600


def expect_learned(answer, train: Tensor, dev: Tensor, new: Tensor, margin: float, seen: str):
    """NotYet unless the learned logits cost at most margin more on `new` than add-k smoothing, its k chosen on dev.

    All tables (27, 27, 27) of counts. Returns the logits, in float64, their cost and that of the smoothed table.
    """
    got = call(answer, train, dev)
    if not isinstance(got, Tensor) or tuple(got.shape) != (27, 27, 27):
        raise NotYet(f"{seen} returned {brief(got)}; logits of shape (27, 27, 27) were expected.")
    if not got.is_floating_point():
        raise NotYet(f"{seen} returned whole numbers; logits are floats.")
    logits = got.detach().double()
    if logits.isnan().any():
        raise NotYet(f"{seen} has {int(logits.isnan().sum()):,} nans. Did a loss become nan on the way?")
    if (logits == -math.inf).any() and not math.isfinite(cost_of(logits, new)):
        raise NotYet(
            f"{seen} holds weights of minus infinity, and some of those pairs come: an infinite loss. No walk gets there."
        )
    if (logits >= 0).all() and torch.allclose(
        logits.sum(-1), torch.ones(27, 27, dtype=torch.float64), atol=1e-3
    ):
        raise NotYet(f"{seen} has rows that add up to 1: those are probabilities, and logits were asked.")
    tables = [ngrams.add_k(train, k).log() for k in (0.03, 0.1, 0.2, 0.3, 0.5, 1)]
    smoothed = min(tables, key=lambda table: cost_of(table, dev))
    cost, best = cost_of(logits, new), cost_of(smoothed, new)
    if cost <= best + margin and not knows_dev(logits, smoothed, dev, new):
        return logits, cost, best
    pairs = cost_of(ngrams.add_k(train.sum(0), 0.1).log(), new.sum(0))
    if cost < pairs and knows_dev(logits, smoothed, dev, new):
        raise NotYet(
            f"{seen} costs {cost:.4f} on new names and only {cost_of(logits, dev):.4f} on dev: it has learned dev, too. "
            "Learn from train."
        )
    said = f"{seen} costs {cost:.4f} on new names; {best + margin:.4f} or less was expected."
    if (logits - logits[:1]).abs().max() < 1e-9:
        raise NotYet(f"{said} The first of the two letters makes no difference to it.")
    if cost_of(logits, train) < cost_of(smoothed, train) - 0.004:
        raise NotYet(
            f"{said} On train it costs {cost_of(logits, train):.4f}: it was not stopped or pulled in time, as dev would tell."
        )
    if cost > math.log(27) + 0.01:
        raise NotYet(
            f"{said} That is worse than blind guessing, {math.log(27):.4f}: too large a rate throws it about."
        )
    if cost > pairs:
        raise NotYet(
            f"{said} One letter of memory costs {pairs:.4f}. It still crawls, or its rate throws it about."
        )
    raise NotYet(f"{said} Not far: more steps, a better rate, or less of a pull; dev can tell you which.")


def knows_dev(logits: Tensor, smoothed: Tensor, dev: Tensor, new: Tensor) -> bool:
    """Whether dev is no unknown list to it. One list may be the more ordinary, but then it is so for the counted table, too."""
    gap = cost_of(logits, new) - cost_of(logits, dev)
    return gap - (cost_of(smoothed, new) - cost_of(smoothed, dev)) > 0.01


def counted(logits: Tensor, train: Tensor) -> bool:
    """Whether the logits are add-k smoothing of train, for any k, which the row after ".." gives away."""
    row, asked = logits.softmax(-1)[0, 0], train[0, 0].sum()
    rarest = train[0, 0].argmin()
    k = (asked * row[rarest] - train[0, 0, rarest]) / (1 - 27 * row[rarest])
    return bool(k > 0) and torch.allclose(ngrams.add_k(train, k.item()), logits.softmax(-1), atol=1e-9)


def cost_of(logits: Tensor, counts: Tensor) -> float:
    """Mean nats of the counted n-grams; what never comes costs nothing, whatever its logit."""
    costs = torch.where(counts > 0, counts * logits.log_softmax(-1), 0.0)
    return (-costs.sum() / counts.sum()).item()


CHECKS = {
    "3.1": one_hot,
    "3.2": softmax,
    "3.3": mean_cost,
    "3.4": cross_entropy,
    "3.5": slope,
    "3.6": penalised,
    "3.7": logits_after_two,
    "3.8": learn_triples,
}
