"""The checks of lesson 4. Each takes your function, tries it, and says why it matters; `CHECKS` at the end lists them."""

import contextlib
import functools
import math
import os
import random
import string

import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib import longer_ngrams
from lessons_lib.data import examples, load_names, split
from lessons_lib.exercises.engine import NotYet, call, expect_tensor, show_call, within
from lessons_lib.ladder import LETTERS
from lessons_lib.training import split_loss

BELOW = 2.25  # what exercise 4.6 asks for on dev, in nats


def window(answer):
    """4.1: window(name, memory), each character with the ones before it."""
    for name, memory in (("mia", 3), ("mia", 1), ("a", 2), ("", 3), ("marielle", 4)):
        marked = "." * memory + name + "."
        wanted = [(marked[i : i + memory], marked[i + memory]) for i in range(len(name) + 1)]
        seen = show_call(answer, name, memory)
        got = call(answer, name, memory)
        if not isinstance(got, list):
            raise NotYet(f"{seen} returned a {type(got).__name__}; a list was expected.")
        if not all(isinstance(pair, tuple) and len(pair) == 2 for pair in got):
            raise NotYet(f"{seen} returned {got!r}; a list of pairs such as ('..', 'm') was expected.")
        if got == wanted:
            continue
        mistakes = [
            (wanted[:-1], "The end is missing: to stop is something to predict, too."),
            (wanted[memory:], "The beginning is missing: even the first letter has a context, of dots."),
            (
                [(c[::-1], n) for c, n in wanted],
                "The contexts are turned round: the nearest letter stands last.",
            ),
            (
                [(c.lstrip("."), n) for c, n in wanted],
                "The contexts differ in length: fill them up with dots.",
            ),
            (
                [(c[1:] + n, n) for c, n in wanted],
                "The answer stands in the question: slide after the pair is made.",
            ),
            ([(c.replace(".", "").rjust(memory, "."), n) for c, n in wanted], ""),
            (
                [(("." + name)[i : i + 1].rjust(memory, "."), n) for i, (_, n) in enumerate(wanted)],
                "Only the last letter is in view: the context has to keep what it drops from neither end too soon.",
            ),
            (
                [(c, n) for c, n in wanted if "." not in c],
                "Contexts with a dot are missing: they are the beginnings.",
            ),
        ]
        for wrong, what in mistakes:
            if got == wrong and what:
                raise NotYet(f"{seen} returned {got!r}. {what}")
        raise NotYet(f"{seen} returned {got!r}; {wanted!r} was expected.")
    return "With one letter of memory these are the pairs of lesson 2; the network will not mind how many there are."


def embed(answer):
    """4.2: embed(C, X), the places of each row side by side."""
    generator = torch.Generator().manual_seed(4)
    for rows, memory, size in ((1, 2, 2), (2, 3, 2), (4, 3, 10), (5, 1, 4), (3, 3, 3), (6, 8, 5)):
        C = torch.randn(27, size, generator=generator)
        X = torch.randint(27, (rows, memory), generator=generator)
        wanted = C[X].flatten(1)
        mistakes = [
            (
                C[X].transpose(1, 2).flatten(1),
                "The letters are shuffled into each other: first all numbers of one.",
            ),
            (C[X.T].reshape(rows, -1), "The rows hold letters of other examples: X was turned on its side."),
            (C[X.flip(1)].flatten(1), "The newest letter comes first; the oldest should."),
            (C[X], "The letters still lie on an axis of their own: lay them side by side."),
            (
                C[X].reshape(-1, size),
                "Every letter has a row to itself; there should be one row for each example.",
            ),
            (C[X].sum(1), "The places are added up, and with that the order of the letters is lost."),
            (C[X].mean(1), "The places are averaged, and with that the order of the letters is lost."),
            (F.one_hot(X, 27).float().flatten(1), "These are the one-hot rows; C has not been used."),
            (C[X[:, -1]], "Only the last letter is there."),
        ]
        expect_tensor(
            call(answer, C, X),
            wanted,
            f"{answer.__name__}(C, X), with C {tuple(C.shape)} and X {(rows, memory)},",
            mistakes,
        )
    return "One table for all positions: what is learned about a letter in one of them is known in all."


def with_short_cut(answer):
    """4.3: with_short_cut(inputs, W1, b1, W2, b2, direct), Bengio's direct connections."""
    generator = torch.Generator().manual_seed(5)
    for rows, inside, hidden in ((1, 2, 3), (4, 6, 5), (3, 27, 27)):
        shapes = ((rows, inside), (inside, hidden), (hidden,), (hidden, 27), (27,), (inside, 27))
        inputs, W1, b1, W2, b2, direct = (torch.randn(shape, generator=generator) for shape in shapes)
        raw = inputs @ W1 + b1
        through = raw.tanh() @ W2 + b2
        past = inputs @ direct
        mistakes = [
            (through, "The short cut is not in it."),
            (past, "Only the short cut is in it; the hidden layer belongs there too."),
            (past + b2, "Only the short cut is in it; the hidden layer belongs there too."),
            (raw @ W2 + b2 + past, "The tanh is missing, and without it both paths are one linear layer."),
            ((through + past).tanh(), "The logits went through a tanh: they should be free to be large."),
            (through + past.tanh(), "The short cut went through a tanh; it is linear."),
            (raw.tanh() @ W2 + past, "The bias b2 is missing."),
            ((inputs @ W1).tanh() @ W2 + b2 + past, "The bias b1 is missing."),
            ((through + past).softmax(1), "These are probabilities; logits were asked for."),
            ((through + past).log_softmax(1), "These are log-probabilities; logits were asked for."),
        ]
        if hidden == 27:
            mistakes.append(
                ((raw + past).tanh() @ W2 + b2, "The short cut was added inside the tanh; it goes around it.")
            )
        shapes = f"{answer.__name__}(...), with inputs {(rows, inside)} and {hidden} hidden units,"
        got = call(answer, inputs, W1, b1, W2, b2, direct)
        expect_tensor(got, through + past, shapes, mistakes)
    return (
        "A path around a layer is a small thing here. In lesson 8 it is what makes a deep network trainable."
    )


def batches(answer):
    """4.4: batches(size, X, Y, generator), one epoch."""

    @functools.wraps(answer)
    def listed(*arguments):
        result = answer(*arguments)
        return None if result is None else list(result)

    for count, size in ((4, 2), (7, 3), (64, 8), (50, 16)):
        Y = torch.arange(count)
        X = torch.stack([Y, 100 + Y, 200 + Y], 1)
        seen = f"{answer.__name__}({size}, X, Y, generator), with {count} examples,"
        before = torch.get_rng_state()
        generator = torch.Generator().manual_seed(count)
        first, second = (call(listed, size, X, Y, generator) for _ in range(2))
        again = call(listed, size, X, Y, torch.Generator().manual_seed(count))
        if not torch.equal(torch.get_rng_state(), before):
            torch.set_rng_state(before)
            raise NotYet(
                f"{seen} drew from the random numbers that everybody shares. Hand on `generator=generator`."
            )
        for epoch in (first, second, again):
            whole(epoch, size, X, Y, seen)
        order, other, repeated = (
            torch.cat([y for _, y in epoch]).tolist() for epoch in (first, second, again)
        )
        if count >= 50 and order == sorted(order):
            raise NotYet(f"{seen} gave the examples in the order of the file. Shuffle them.")
        if count >= 50 and order == other:
            raise NotYet(
                f"{seen} gave the same order twice. The generator goes on from epoch to epoch; do not seed it anew."
            )
        if order != repeated:
            raise NotYet(
                f"{seen} gave another order for another generator of the same seed. Draw with `generator`, and only so."
            )
    return "Shuffle once, cut, and no example is forgotten or favoured: every training in the rest of the course does this."


def whole(epoch, size, X, Y, seen):
    """NotYet unless these batches are an epoch: full, aligned, without repeats."""
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in epoch):
        raise NotYet(f"{seen} did not give pairs (rows of X, rows of Y).")
    if not all(isinstance(part, torch.Tensor) for pair in epoch for part in pair):
        raise NotYet(f"{seen} gave pairs that are not two tensors.")
    lengths = [len(y) for _, y in epoch]
    due = len(Y) // size
    if len(epoch) == due + 1 and lengths[:-1] == [size] * due:
        raise NotYet(f"{seen} gave batches of {lengths}: the last one is not full and should be left out.")
    if lengths != [size] * due:
        raise NotYet(f"{seen} gave batches of {lengths}; {due} of {size} were expected.")
    for x, y in epoch:
        if x.shape != (size, *X.shape[1:]) or y.shape != (size,):
            raise NotYet(
                f"{seen} gave a batch of shapes {tuple(x.shape)} and {tuple(y.shape)}; {(size, *X.shape[1:])} and {(size,)} were expected."
            )
        if not all(row.tolist() in X.tolist() for row in x):
            raise NotYet(f"{seen} gave rows that do not stand in X.")
        if not torch.equal(X[y], x):
            raise NotYet(
                f"{seen} gave X and Y that no longer belong together: {x[0].tolist()} came with {y[0].item()}. One order for both."
            )
    came = torch.cat([y for _, y in epoch])
    if len(came.unique()) < len(came):
        twice = came.mode().values.item()
        raise NotYet(f"{seen} gave example {twice} twice. An epoch has each once: draw an order, not places.")


def adamw_step(answer):
    """4.5: adamw_step(p, g, m, v, step, rate, decay), one step of AdamW."""
    generator = torch.Generator().manual_seed(6)
    draw = functools.partial(torch.randn, generator=generator, dtype=torch.float64)
    small = torch.tensor([1e-9, -1e-6, 1.0], dtype=torch.float64)  # where eps shows
    zero = torch.zeros(3, dtype=torch.float64)
    cases = [
        (draw(3), draw(3), zero, zero, 1, 0.1, 0.0),
        (draw(3), draw(3), draw(3), draw(3) ** 2, 2, 0.1, 0.0),
        (draw(3) + 2, draw(3), draw(3), draw(3) ** 2, 5, 0.2, 0.5),
        (draw(3), small, small / 2, small**2, 40, 0.1, 0.1),
        (draw(2, 2), draw(2, 2), draw(2, 2), draw(2, 2) ** 2, 7, 0.01, 0.1),
    ]
    for p, g, m, v, step, rate, decay in cases:
        given = (p, g, m, v, step, rate, decay)
        seen = f"{answer.__name__}(p, g, m, v, step={step}, rate={rate}, decay={decay})"
        got = call(answer, *given)
        if not isinstance(got, tuple | list) or len(got) != 3:
            raise NotYet(f"{seen} did not return three tensors, (p, m, v).")
        wanted = adamw(*given)
        names = ("p", "m", "v")
        wrong = {
            "The means are not corrected: early on they are too small.": adamw(*given, corrected=False),
            "The means are corrected before they are returned: the next step would correct them again.": adamw(
                *given, keep_corrected=True
            ),
            "The decay went into the gradient. That is Adam with a penalty, not AdamW.": adamw(
                *given, coupled=True
            ),
            "The decay is not multiplied by the rate.": adamw(*given, free_decay=True),
            "The decay came after the step, and shrank the step too.": adamw(*given, decay_last=True),
            "The decay is missing.": adamw(p, g, m, v, step, rate, 0.0),
            "eps belongs outside the root.": adamw(*given, eps_inside=True),
            "The two betas are swapped.": adamw(*given, betas=(0.999, 0.9)),
            "`step` counts from 1, so the powers are beta ** step.": adamw(p, g, m, v, step + 1, rate, decay),
            "The root is missing: divide by the root of v.": adamw(*given, root=False),
            "The step goes uphill: minus the rate times the direction.": adamw(
                p, g, m, v, step, -rate, -decay
            ),
            "v is the mean of the squared gradients.": adamw(*given, squared=False),
        }
        for place in (1, 2, 0):  # the means first: a wrong mean makes a wrong p
            mistakes = [(answer_of[place], what) for what, answer_of in wrong.items()]
            expect_tensor(
                got[place], wanted[place], f"{seen}, as its {names[place]},", mistakes, tolerance=1e-7
            )
    return "Seven lines that have trained nearly everything you have heard of in the last years."


def adamw(
    p,
    g,
    m,
    v,
    step,
    rate,
    decay,
    betas=(0.9, 0.999),
    eps=1e-8,
    corrected=True,
    keep_corrected=False,
    coupled=False,
    free_decay=False,
    decay_last=False,
    eps_inside=False,
    root=True,
    squared=True,
):
    """AdamW, and what is often made of it."""
    if coupled:
        g = g + decay * p
    shrink = 1.0 if coupled else 1 - (decay if free_decay else rate * decay)
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * (g**2 if squared else g)
    m_hat, v_hat = (m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)) if corrected else (m, v)
    below = (v_hat + eps).sqrt() if eps_inside else (v_hat.sqrt() if root else v_hat) + eps
    step_taken = rate * m_hat / below
    p = (p - step_taken) * shrink if decay_last else p * shrink - step_taken
    return (p, m_hat, v_hat) if keep_corrected else (p, m, v)


@functools.cache
def data(memory):
    """(train, dev) of the bundled names, as examples with so many letters."""
    names = split(load_names())
    return examples(names.train, memory, LETTERS), examples(names.dev, memory, LETTERS)


@contextlib.contextmanager
def training_room():
    """Train on one thread, as every lesson does, and without a progress bar, which a check would show as printed lines."""
    threads, bars = torch.get_num_threads(), os.environ.get("TQDM_DISABLE")
    torch.set_num_threads(1)
    os.environ["TQDM_DISABLE"] = "1"
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        os.environ.pop("TQDM_DISABLE", None)
        if bars is not None:
            os.environ["TQDM_DISABLE"] = bars


def judged(answer, memory):
    """(loss on train, loss on dev) of the network that the answer trains."""
    train, dev = data(memory)
    seen = f"{answer.__name__}(X, Y)"
    with training_room():
        model = call(answer, *train)
    if not isinstance(model, nn.Module):
        raise NotYet(f"{seen} returned a {type(model).__name__}; a trained nn.Module was expected.")

    @functools.wraps(answer)
    def logits(X):
        with torch.no_grad():
            return model(X)

    few = call(logits, dev[0][:5])
    if not isinstance(few, torch.Tensor) or few.shape != (5, LETTERS.size):
        shape = tuple(few.shape) if isinstance(few, torch.Tensor) else type(few).__name__
        raise NotYet(
            f"the network of {seen} answered 5 contexts with {shape}; logits of shape (5, 27) were expected."
        )
    losses = split_loss(model, *train), split_loss(model, *dev)
    if few.min() >= 0 and torch.allclose(few.sum(1), torch.ones(5), atol=1e-3):
        raise NotYet(
            f"the network of {seen} answers with probabilities; F.cross_entropy takes logits, without a softmax."
        )
    if not all(map(math.isfinite, losses)):
        raise NotYet(f"the network of {seen} has a loss of {losses[1]} on dev. Did the rate grow too high?")
    if losses[1] < losses[0] - 0.05:
        raise NotYet(
            f"the network of {seen} is better on dev ({losses[1]:.3f}) than on train ({losses[0]:.3f}). Has it been shown the dev names?"
        )
    return losses


@functools.cache
def counted(leaning, memory):
    """The loss on dev of n-grams that lean in this way, counted on the bundled names."""
    names = split(load_names())
    return leaning(names.train, memory, LETTERS).loss(names.dev)


@within(240)
def eight_letters(answer):
    """4.6: eight_letters(X, Y), a network with eight letters in view, below 2.25 on dev."""
    train, dev = judged(answer, 8)
    if dev >= BELOW:
        raise NotYet(
            f"{dev:.3f} on dev, {train:.3f} on train; below {BELOW} was asked for. {which_way(train, dev)}"
        )
    counts = counted(longer_ngrams.kneser_ney, 5)
    beaten = "You are past it." if dev < counts else "It is still ahead."
    return (
        f"{dev:.3f} on dev, {train:.3f} on train. The best counting of the lesson has {counts:.3f}. {beaten}"
    )


def which_way(train, dev):
    if train > 2.5:
        return "Train is high too: it has hardly been trained, or at the wrong rate."
    if dev - train > 0.3:
        return "Train is far below dev: it overfits. Smaller, or fewer epochs, or more decay."
    if dev - train < 0.05:
        return "Train is about as high: it underfits. Give it more to learn with: numbers per letter, units, epochs."
    return (
        "Train is lower, as it should be. Change one knob at a time, and let the rate come down at the end."
    )


@within(240)
def three_letters(answer):
    """4.7: three_letters(X, Y), a network with three letters in view, against counting with three."""
    train, dev = judged(answer, 3)
    table, better = (counted(make, 3) for make in (longer_ngrams.witten_bell, longer_ngrams.kneser_ney))
    if dev >= table:
        raise NotYet(
            f"{dev:.4f} on dev, {train:.4f} on train; Witten-Bell has {table:.4f}, and you have to be below it: "
            f"{dev - table:.4f} are missing. {which_way(train, dev)}"
        )
    further = (
        f"Kneser-Ney has {better:.4f}, and you are below that too."
        if dev < better
        else f"Kneser-Ney has {better:.4f}, if you want to go on."
    )
    return f"{dev:.4f} on dev, and Witten-Bell {table:.4f}: beaten on its own ground. {further}"


class Tomorrow(str):
    """A name whose hash is another than today's, as in the next session of Python. Sets of such have another order."""

    __slots__ = ()

    def __hash__(self):
        return hash(("tomorrow", str(self)))


def two_parts(answer):
    """4.8: two_parts(names, seed), distinct names, nine tenths and one tenth."""
    letters = string.ascii_lowercase
    for names in (
        [*"abcdefghij"],
        [*"abcdefghijabcde", *"jjj"],
        [a + b for a in letters for b in letters[:8]] * 2,
    ):
        distinct = list(dict.fromkeys(names))
        seen = f"{answer.__name__}(names, 1), with {len(names)} names, {len(distinct)} of them distinct,"
        state = random.getstate(), torch.get_rng_state()
        got = call(answer, names, 1)
        again, other = call(answer, names, 1), call(answer, names, 2)
        disturbed = random.getstate() != state[0] or not torch.equal(torch.get_rng_state(), state[1])
        random.setstate(state[0])
        torch.set_rng_state(state[1])
        if (
            not isinstance(got, tuple | list)
            or len(got) != 2
            or not all(isinstance(part, list) for part in got)
        ):
            raise NotYet(f"{seen} did not return two lists, (train, dev).")
        train, dev = got
        if disturbed:
            raise NotYet(
                f"{seen} disturbed the random numbers that everybody shares. random.Random(seed) makes your own."
            )
        if leaked := sorted(set(train) & set(dev)):
            raise NotYet(f"{seen} put {leaked[0]!r} into both parts. Drop repeats before you cut.")
        if len(set(train)) < len(train) or len(set(dev)) < len(dev):
            raise NotYet(f"{seen} left repeats within a part; the distinct names were asked for.")
        if missing := [name for name in distinct if name not in train and name not in dev]:
            raise NotYet(f"{seen} lost {missing[0]!r} and {len(missing) - 1} more.")
        if strange := [name for name in train + dev if name not in distinct]:
            raise NotYet(f"{seen} has {strange[0]!r}, which is not in the list.")
        cut = int(0.9 * len(distinct))
        if len(train) != cut:
            swapped = " The large part comes first." * (len(dev) == cut)
            raise NotYet(f"{seen} has {len(train)} names in train; {cut} were expected.{swapped}")
        if len(distinct) > 100 and (train == distinct[:cut] or train + dev == sorted(distinct)):
            raise NotYet(f"{seen} did not shuffle: the parts differ as the beginning and end of a list do.")
        if tuple(map(list, again)) != (train, dev):
            raise NotYet(f"{seen} gave other parts the second time. The seed alone decides.")
        tomorrow = call(answer, [Tomorrow(name) for name in names], 1)
        if [[str(name) for name in part] for part in tomorrow] != [train, dev]:
            raise NotYet(
                f"{seen} would give other parts in the next session of Python: a set of strings has another order in each. "
                "Drop repeats and keep the first of each, in the order of the list."
            )
        if len(distinct) > 100 and set(other[1]) == set(dev):
            raise NotYet(f"{seen} gives the same dev part for seed 2. Let the seed decide.")
    return "Whatever you train on one day, this comes first; a leak makes every number after it worthless."


CHECKS = {
    "4.1": window,
    "4.2": embed,
    "4.3": with_short_cut,
    "4.4": batches,
    "4.5": adamw_step,
    "4.6": eight_letters,
    "4.7": three_letters,
    "4.8": two_parts,
}
