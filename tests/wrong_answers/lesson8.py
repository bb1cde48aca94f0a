"""Wrong answers to the exercises of lesson 8, each as a learner might write it, and what the check must say of it. None trains anything."""

import math
from collections import Counter
from itertools import pairwise

import torch
from torch import nn

from lessons_lib.data import Vocabulary, load_names, split
from lessons_lib.transformer import GPT

# Tokens


def merge(parts, piece, step=2, once=False, same=None, keep_last=True):
    """The right way; by its keywords, others. same(left, right): whether the two are merged."""
    same = same or (lambda left, right: left + right == piece)
    out, place = [], 0
    while place < len(parts) - (not keep_last):
        hit = place + 1 < len(parts) and same(parts[place], parts[place + 1]) and not (once and piece in out)
        out.append(piece if hit else parts[place])
        place += step if hit else 1
    return out


def from_the_right(parts, piece):
    out = list(parts)
    for place in range(len(out) - 2, -1, -1):
        if place + 1 < len(out) and out[place] + out[place + 1] == piece:
            out[place : place + 2] = [piece]
    return out


def in_place(parts, piece):
    place = 0
    while place + 1 < len(parts):
        if parts[place] + parts[place + 1] == piece:
            parts[place : place + 2] = [piece]
        place += 1
    return parts


def every_pair(parts, piece):
    out, used = [], False
    for place, part in enumerate(parts):
        if place + 1 < len(parts) and part + parts[place + 1] == piece:
            out.append(piece)
            used = True
        else:
            if not used:
                out.append(part)
            used = False
    return out


def past_the_end(parts, piece):
    out, place = [], 0
    while place < len(parts):
        hit = parts[place] + parts[place + 1] == piece
        out.append(piece if hit else parts[place])
        place += 1 + hit
    return out


def on_the_bytes(parts, piece):
    head, *rest = b"".join(parts).split(piece)
    out = [bytes([value]) for value in head]
    for some in rest:
        out += [piece, *(bytes([value]) for value in some)]
    return out


def learn(words, size, count=None, ties=min, again=True, first=256, least=2, weight=True, joined=True):
    """The right way; by its keywords, others. count: the pairs of one word; ties: which of the best."""
    count = count or (lambda parts: list(pairwise(parts)))
    texts = {word: [bytes([value]) for value in word] for word in words}
    pieces, found = [], None
    while len(pieces) < size - first:
        if again or found is None:
            found = Counter()
            for word, parts in texts.items():
                for left, right in count(parts):
                    found[left + right if joined else (left, right)] += words[word] if weight else 1
        if not found or max(found.values()) < least:
            return pieces
        best = [pair for pair, times in found.items() if times == max(found.values())]
        chosen = ties(best)
        del found[chosen]
        pieces.append(chosen if joined else b"".join(chosen))
        texts = {word: merge(parts, pieces[-1]) for word, parts in texts.items()}
    return pieces


def apart(parts):
    found, place = [], 0
    while place + 1 < len(parts):
        found.append((parts[place], parts[place + 1]))
        place += 2 if len(set(parts[place : place + 3])) == 1 else 1
    return found


def across(words, size):
    parts = [bytes([value]) for word, times in words.items() for value in word * times]
    pieces = []
    while len(pieces) < size - 256:
        found = Counter(left + right for left, right in pairwise(parts))
        if not found or max(found.values()) < 2:
            break
        pieces.append(min(pair for pair, times in found.items() if times == max(found.values())))
        parts = merge(parts, pieces[-1])
    return pieces


def encode(chunk, pieces, choose=min, first=256, rounds=1000):
    """The right way; by its keywords, others. choose: one of the ranks that neighbours spell, in the order of the chunk."""
    parts = [bytes([value]) for value in chunk]
    for _ in range(rounds):
        ranks = [pieces.index(a + b) for a, b in pairwise(parts) if a + b in pieces]
        if not ranks:
            break
        parts = merge(parts, pieces[choose(ranks)])
    return [part[0] if len(part) == 1 else first + pieces.index(part) for part in parts]


def longest_from_the_left(chunk, pieces):
    out = []
    while chunk:
        part = max((p for p in pieces if chunk.startswith(p)), key=len, default=chunk[:1])
        out.append(part[0] if len(part) == 1 else 256 + pieces.index(part))
        chunk = chunk[len(part) :]
    return out


def growing(chunk, pieces):
    out = []
    for value in chunk:
        if out and out[-1] + bytes([value]) in pieces:
            out[-1] += bytes([value])
        else:
            out.append(bytes([value]))
    return [part[0] if len(part) == 1 else 256 + pieces.index(part) for part in out]


def once_over(chunk, pieces):
    out, place = [], 0
    while place < len(chunk):
        pair = chunk[place : place + 2]
        out.append(256 + pieces.index(pair) if pair in pieces else chunk[place])
        place += 2 if pair in pieces else 1
    return out


def of_bytes(numbers, pieces, first=256):
    return [bytes([n]) if n < 256 else pieces[n - first] for n in numbers]


# Attention


def ruled(matrix):
    """average_past with this matrix of (T, T) ones and zeros, as a learner weighs it."""
    return lambda x: matrix(torch.ones(x.shape[1], x.shape[1], dtype=x.dtype)) @ x


def excluded(x):
    T = x.shape[1]
    below = torch.ones(T, T, dtype=x.dtype).tril(-1)
    return below / below.sum(1, keepdim=True).clamp(min=1) @ x


def later(T, diagonal=1):
    return torch.ones(T, T, dtype=torch.bool).triu(diagonal)


def hidden(scores, mask=later, value=-math.inf):
    return scores.masked_fill(mask(scores.shape[-1]), value)


def attend(q, k, v, scale=None, mask=True, axis=-1):
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    return (hidden(scores) if mask else scores).softmax(axis) @ v


def along(q, k, v, axis):
    return attend(*(one.transpose(axis, 2) for one in (q, k, v))).transpose(axis, 2)


def heads_of(x, weight, out, heads, how="right", order=(0, 1, 2), join=None, scale=None, mask=True):
    """Multi-head attention before `out`; by its keywords, not as it should be."""
    B, T, C = x.shape
    D = C // heads
    y = x @ weight.T
    if how == "viewed":
        parts = [one.reshape(B, heads, T, D) for one in y.split(C, -1)]
    elif how == "by head":
        parts = y.view(B, T, heads, 3, D).permute(3, 0, 2, 1, 4)
    elif how == "every other":
        parts = [one.reshape(B, T, D, heads).permute(0, 3, 1, 2) for one in y.split(C, -1)]
    else:
        parts = [one.view(B, T, heads, D).transpose(1, 2) for one in y.split(C, -1)]
    mixed = attend(*(parts[place] for place in order), scale, mask)
    return join(mixed).reshape(B, T, C) if join else mixed.transpose(1, 2).reshape(B, T, C)


def cached(q, k, v, cache, scale=None, see="new", keep="both", order=1, kind=tuple):
    K, V = (k, v) if cache is None else (torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2))
    old = (k, v) if cache is None else cache
    seen = {"new": (K, V), "old": old, "self": (k, v)}[see]
    out = (q @ seen[0].mT * (q.shape[-1] ** -0.5 if scale is None else scale)).softmax(-1) @ seen[1]
    return out, {"both": (K, V), "old": old, "newest": (k, v), "swapped": (V, K)}[keep]


def masked_too(q, k, v, cache):
    new = cached(q, k, v, cache)[1]
    return new[1][:, :, :1], new


def in_front(q, k, v, cache):
    out, _ = cached(q, k, v, cache)
    return out, (k, v) if cache is None else (torch.cat([k, cache[0]], 2), torch.cat([v, cache[1]], 2))


def in_the_old_cache(q, k, v, cache):
    if cache is not None:
        cache[0][:, :, -1] = k[:, :, 0]
    return cached(q, k, v, cache)


def keeping_queries(q, k, v, cache):
    out, new = cached(q, k, v, cache)
    return out, (q if cache is None else torch.cat([cache[0], q], 2), new[1])


def falls_without(q, k, v, cache):
    K, V = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
    return attend(q, K, V, mask=False), (K, V)


# The leak test, top-k, sums


def moved(model, tokens, places, answers, tolerance=1e-6):
    right, found = model(tokens), False
    for place in places(tokens.shape[1]):
        changed = tokens.clone()
        changed[:, place] = (tokens[:, place] + 1) % model.size
        there = [t for t in range(tokens.shape[1]) if answers(t, place)]
        found |= bool(there) and not torch.allclose(
            model(changed)[:, there], right[:, there], atol=tolerance, rtol=0
        )
    return found


def before(t, place):
    return t < place


def writes_into_tokens(model, tokens):
    right = model(tokens)
    tokens[:, -1] = (tokens[:, -1] + 1) % model.size
    return not torch.equal(model(tokens)[:, :-1], right[:, :-1])


def beyond_the_vocabulary(model, tokens):
    return not torch.equal(model(tokens + model.size)[:, :1], model(tokens)[:, :1])


def kept(logits, k, value=-math.inf, keep=lambda logits, edge: logits >= edge, place=None):
    k = min(k, logits.shape[-1])
    edge = logits.sort(-1, descending=True).values[..., min(place or k, logits.shape[-1]) - 1].unsqueeze(-1)
    return torch.where(keep(logits, edge), logits, value)


def exactly_k(logits, k):
    found = logits.topk(min(k, logits.shape[-1]), -1)
    return torch.full_like(logits, -math.inf).scatter(-1, found.indices, found.values)


def kept_in_place(logits, k):
    logits[logits < logits.topk(min(k, logits.shape[-1]), -1).values[..., -1:]] = -math.inf
    return logits


def threshold_for_all(logits, k):
    edge = logits.flatten().topk(min(k, logits.numel())).values[-1]
    return torch.where(logits >= edge, logits, -math.inf)


def example(
    a, b, digits, answer=lambda text: text[::-1], ask=str, pad=True, room=1, ignored=0, fill=-100, shift=1
):
    first, second = (ask(f"{one:0{digits}d}" if pad else f"{one}") for one in (a, b))
    question = f"{first}+{second}="
    text = question + answer(f"{a + b:0{digits + room}d}" if pad else f"{a + b}")
    numbers = torch.tensor(["0123456789+=".index(sign) for sign in text])
    X, Y = numbers[:-1], numbers[shift:][: len(numbers) - 1].clone()
    Y[: len(question) - 1 + ignored] = fill
    return X, Y


def as_a_view(a, b, digits):
    numbers = torch.tensor(
        ["0123456789+=".index(sign) for sign in f"{a:0{digits}d}+{b:0{digits}d}={a + b:0{digits + 1}d}"]
    )
    numbers[-digits - 1 :] = numbers[-digits - 1 :].flip(0)
    X, Y = numbers[:-1], numbers[1:]
    Y[: 2 * digits + 1] = -100
    return X, Y


# Trained


def table_of(pairs):
    known = {(a, b): a + b for a, b in pairs}
    return lambda a, b: known[a, b]


def nearest(pairs):
    """The sum of the most similar pair that it has seen: a table that always has an answer."""
    return lambda a, b: sum(min(pairs, key=lambda pair: abs(pair[0] - a) + abs(pair[1] - b)))


def without_carry(a, b):
    return (a // 10 + b // 10) % 10 * 10 + (a + b) % 10


def untrained_adder(pairs):
    torch.manual_seed(0)
    model = GPT(12, block=8, width=16, heads=2, layers=1)

    def add(a, b):
        text = f"{a:02d}+{b:02d}="
        while len(text) < 9:
            numbers = torch.tensor([["0123456789+=".index(sign) for sign in text]])
            text += "0123456789"[model(numbers)[0, -1, :10].argmax()]
        return int(text[6:][::-1])

    return add


class Counted(nn.Module):
    """A model that has counted: after each of the last letters what followed it, and a little of everything."""

    def __init__(self, text, vocabulary, letters=1, little=0.05):
        super().__init__()
        self.size, self.letters, self.little = vocabulary.size, letters, little
        numbers = vocabulary.encode(text)
        self.after, self.known = {}, {}
        for place in range(len(numbers) - 1):
            for length in range(letters + 1):
                key = tuple(numbers[max(0, place + 1 - length) : place + 1])
                self.after.setdefault(key, Counter())[numbers[place + 1]] += 1

    def belief(self, read):
        """Log-probabilities after the letters read, of which the last few count."""
        if read not in self.known:
            self.known[read] = self.looked_up(read)
        return self.known[read]

    def looked_up(self, read):
        for length in range(len(read), -1, -1):
            if counts := self.after.get(read[len(read) - length :]):
                row = torch.full((self.size,), self.little)
                for number, times in counts.items():
                    row[number] += times
                return (row / row.sum()).log()
        return torch.zeros(self.size)

    def forward(self, tokens):
        rows = [
            [tuple(row[max(0, t - self.letters) : t]) for t in range(1, len(row) + 1)]
            for row in tokens.tolist()
        ]
        return torch.stack([torch.stack([self.belief(read) for read in row]) for row in rows])


def lines(names):
    return "\n" + "\n".join(names) + "\n"


def counted(text, plays, **settings):
    return Counted(text, Vocabulary([plays], end=None), **settings)


def shown_others(plays, names):
    return counted(lines(split(load_names()).dev[:500]), plays, letters=8, little=1e-3)


def of_27_letters(plays, names):
    model = nn.Embedding(27, 27)
    return lambda tokens: model(tokens % 27)


def untrained(plays, names):
    torch.manual_seed(0)
    return GPT(Vocabulary([plays], end=None).size, block=32, width=16, heads=2, layers=1)


def awake(plays, names):
    """Dropout is still on."""
    torch.manual_seed(0)
    size = Vocabulary([plays], end=None).size
    return nn.Sequential(nn.Embedding(size, size), nn.Dropout(0.5))


def looking_ahead(plays, names):
    torch.manual_seed(0)
    size = Vocabulary([plays], end=None).size
    table = nn.Embedding(size, size)
    return lambda tokens: table(tokens) + table(tokens).mean(1, keepdim=True)


def probabilities(plays, names):
    model = counted(lines(names), plays)
    return lambda tokens: model(tokens).softmax(-1)


def sized(factor):
    return lambda q, k, v: attend(q, k, v, factor(q))


WRONG = {
    "8.1": [
        (every_pair, "used twice"),
        (lambda parts, piece: merge(parts, piece, step=1), "still there"),
        (from_the_right, "from right to left"),
        (lambda parts, piece: merge(parts, piece, once=True), "Only the first place"),
        (
            lambda parts, piece: merge(parts, piece, same=lambda a, b: (a, b) == (piece[:1], piece[1:])),
            "behind its first byte",
        ),
        (
            lambda parts, piece: merge(parts, piece, same=lambda a, b: (a, b) == (piece[:-1], piece[-1:])),
            "before its last byte",
        ),
        (on_the_bytes, "was expected"),
        (lambda parts, piece: merge(parts, piece, keep_last=False), "The last part got lost"),
        (lambda parts, piece: [*parts], "Nothing was merged"),
        (in_place, "changed its input"),
        (past_the_end, "raised IndexError"),
        (lambda parts, piece: b" ".join(merge(parts, piece)), "a list was expected"),
        (lambda parts, piece: [part.decode("latin-1") for part in merge(parts, piece)], "bytes alone"),
    ],
    "8.2": [
        (lambda words, size: learn(words, size, weight=False), "How often a word occurs"),
        (lambda words, size: learn(words, size, count=lambda parts: {*pairwise(parts)}), "counts twice"),
        (lambda words, size: learn(words, size, count=apart), "two pairs of neighbours"),
        (across, "across the ends of words"),
        (lambda words, size: learn(words, size, ties=lambda best: best[0]), "the one met first"),
        (lambda words, size: learn(words, size, ties=max), "takes the largest"),
        (lambda words, size: learn(words, size, joined=False), "compare what they spell"),
        (lambda words, size: learn(words, size, again=False), "count again"),
        (lambda words, size: learn(words, size, first=0), "belong to the size"),
        (lambda words, size: learn(words, size, first=255), "One piece too many"),
        (lambda words, size: learn(words, size, least=1), "no pair occurs twice"),
        (
            lambda words, size: [bytes([value]) for value in range(256)] + learn(words, size),
            "only the pieces",
        ),
        (lambda words, size: sorted(learn(words, size)), "sorted"),
        (lambda words, size: dict.fromkeys(learn(words, size)), "a list was expected"),
        (lambda words, size: [(piece[:1], piece[1:]) for piece in learn(words, size)], "of type tuple"),
    ],
    "8.3": [
        (longest_from_the_left, "the longest piece that fits, from the left"),
        (
            lambda chunk, pieces: encode(chunk, pieces, lambda ranks: max(ranks, key=lambda r: len(pieces[r]))),
            "the longest piece first",
        ),
        (lambda chunk, pieces: encode(chunk, pieces, lambda ranks: ranks[0]), "stands furthest left"),
        (once_over, "went over the chunk once"),
        (growing, "each part grows"),
        (lambda chunk, pieces: encode(chunk, pieces, max), "The latest piece"),
        (lambda chunk, pieces: encode(chunk, pieces, rounds=1), "merged one piece and stopped"),
        (lambda chunk, pieces: encode(chunk, pieces, first=0), "256 + k"),
        (lambda chunk, pieces: encode(chunk, pieces, first=257), "counted from 0"),
        (lambda chunk, pieces: list(chunk), "Those are the bytes"),
        (lambda chunk, pieces: torch.tensor(encode(chunk, pieces)), "a list was expected"),
    ],
    "8.4": [
        (lambda numbers, pieces: b"".join(of_bytes(numbers, pieces)).decode(), "half a character"),
        (
            lambda numbers, pieces: "".join(part.decode() for part in of_bytes(numbers, pieces)),
            "decoded for itself",
        ),
        (
            lambda numbers, pieces: "".join(p.decode(errors="replace") for p in of_bytes(numbers, pieces)),
            "decoded for itself",
        ),
        (
            lambda numbers, pieces: b"".join(of_bytes(numbers, pieces)).decode(errors="ignore"),
            "left out without a word",
        ),
        (lambda numbers, pieces: b"".join(of_bytes(numbers, pieces)).decode("latin-1"), "Latin-1"),
        (
            lambda numbers, pieces: "".join(
                chr(n) if n < 256 else pieces[n - 256].decode(errors="replace") for n in numbers
            ),
            "A byte is no character",
        ),
        (lambda numbers, pieces: b"".join(of_bytes(numbers, pieces)), "What is missing is the decoding"),
        (lambda numbers, pieces: b"".join(of_bytes(numbers, pieces, first=0)).decode(errors="replace"), "256 places earlier"),
        (lambda numbers, pieces: b"".join(of_bytes(numbers, pieces, first=257)).decode(errors="replace"), "pieces[0]"),
    ],
    "8.5": [
        (lambda x: x.mean(1, keepdim=True).expand_as(x), "yet to come"),
        (excluded, "itself is missing"),
        (ruled(lambda ones: ones.tril(-1) / ones.tril(-1).sum(1, keepdim=True)), "nothing is left to average"),
        (ruled(lambda ones: ones.triu() / ones.triu().sum(1, keepdim=True)), "That is the future"),
        (lambda x: x.cumsum(1), "Those are sums"),
        (lambda x: x.cumsum(1) / x.shape[1], "divided by T everywhere"),
        (ruled(lambda ones: ones.tril() / ones.tril().sum(1)), "keepdim"),
        (ruled(lambda ones: ones.tril() / ones.tril().sum(0)), "columns of your matrix"),
        (lambda x: x.cumsum(0) / torch.arange(1, len(x) + 1)[:, None, None], "over the examples"),
        (lambda x: x.cumsum(2) / torch.arange(1, x.shape[2] + 1), "over the channels"),
        (lambda x: torch.cat([x[:, :1], (x[:, 1:] + x[:, :-1]) / 2], 1), "Only the place before"),
        (lambda x: x.mean(1), "one mean for the whole row"),
        (lambda x: (x.double().cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]), "float32 was expected"),
    ],
    "8.6": [
        (lambda scores: scores.softmax(-1), "Nothing is masked"),
        (lambda scores: scores.softmax(-1).tril(), "masked after the softmax"),
        (lambda scores: hidden(scores, value=0).softmax(-1), "exp(0) is 1"),
        (lambda scores: hidden(scores, lambda T: later(T).T).softmax(-1), "masked the past"),
        (lambda scores: hidden(scores, lambda T: later(T, 0)).softmax(-1), "takes the diagonal away"),
        (lambda scores: hidden(scores, lambda T: later(T, 0)).softmax(-1).nan_to_num(), "takes the diagonal away"),
        (lambda scores: hidden(scores).softmax(-2), "over columns"),
        (lambda scores: hidden(scores).softmax(0), "The softmax is over"),
        (lambda scores: hidden(scores).softmax(1), "over columns"),
        (lambda scores: hidden(scores), "the softmax is missing"),
        (lambda scores: hidden(scores).log_softmax(-1), "logarithms"),
        (lambda scores: hidden(scores).softmax(-1).mT, "changed places"),
        (lambda scores: hidden(torch.zeros_like(scores)).softmax(-1), "whatever the scores are"),
        (lambda scores: hidden(scores).exp() / hidden(scores).exp().sum(-1, keepdim=True), "a number that is too large"),
        (lambda scores: scores.masked_fill_(later(scores.shape[-1]), -math.inf).softmax(-1), "changed its input"),
    ],
    "8.7": [
        (sized(lambda q: 1), "The products are not scaled"),
        (sized(lambda q: q.shape[-1] ** 0.5), "You multiplied"),
        (sized(lambda q: 1 / q.shape[-1]), "You divided by the head size D"),
        (sized(lambda q: (q.shape[1] * q.shape[-1]) ** -0.5), "the width of all heads"),
        (sized(lambda q: q.shape[-2] ** -0.5), "the number of places"),
        (lambda q, k, v: attend(q, k, v, mask=False), "The mask is missing"),
        (lambda q, k, v: attend(q, k, v, 1, mask=False), "Mask and scale"),
        (lambda q, k, v: attend(q, k, v, axis=-2), "over the queries"),
        (lambda q, k, v: attend(k, q, v), "Queries and keys"),
        (lambda q, k, v: attend(q, k, k), "yours are the keys"),
        (lambda q, k, v: along(q, k, v, 1), "from head to head"),
        (lambda q, k, v: along(q, k, v, 0), "from example to example"),
        (lambda q, k, v: hidden(q @ k.mT * q.shape[-1] ** -0.5).softmax(-1), "Those are the weights"),
        (lambda q, k, v: hidden(q @ k.mT * q.shape[-1] ** -0.5, value=0) @ v, "The softmax is missing"),
        (lambda q, k, v: (q @ k.mT * q.shape[-1] ** -0.5).softmax(-1).tril() @ v, "after the softmax"),
        (lambda q, k, v: attend(q, k, v).transpose(1, 2).flatten(2), "joined already"),
    ],
    "8.8": [
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads), "The last matrix is missing"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads) @ out, "`out` is not transposed"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, "viewed") @ out.T, "mixes places and channels"),
        (
            lambda x, weight, out, heads: heads_of(x, weight, out, heads, "viewed", join=lambda y: y) @ out.T,
            "mixes places and channels",
        ),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, join=lambda y: y) @ out.T, "without turning their axes back"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, "every other") @ out.T, "interleaved"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, "by head") @ out.T, "head by head"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, order=(1, 0, 2)) @ out.T, "another order"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, order=(2, 1, 0)) @ out.T, "another order"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, scale=x.shape[2] ** -0.5) @ out.T, "by the width C"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, scale=1) @ out.T, "not scaled"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, heads, mask=False) @ out.T, "The mask is missing"),
        (lambda x, weight, out, heads: heads_of(x, weight, out, 1) @ out.T, "`heads` is not used"),
        (
            lambda x, weight, out, heads: heads_of(x, weight.reshape(len(out), -1).T, out, heads) @ out.T,
            "instead of viewing it anew",
        ),
        (lambda x, weight, out, heads: x @ weight, "raised RuntimeError"),
    ],
    "8.9": [
        (lambda model, tokens: not moved(model, tokens, range, before), "the other way round"),
        (lambda model, tokens: moved(model, tokens, lambda T: [0], before), "no leak anywhere"),
        (lambda model, tokens: moved(model, tokens, range, lambda t, place: True), "may see everything"),
        (lambda model, tokens: moved(model, tokens, range, lambda t, place: t <= place), "at the changed place itself"),
        (lambda model, tokens: moved(model, tokens, range, lambda t, place: t > place), "A leak runs backwards"),
        (lambda model, tokens: moved(model, tokens, lambda T: [0], lambda t, place: t > 0), "changed the first token"),
        (lambda model, tokens: moved(model, tokens, lambda T: [T - 1], before), "Only the last token"),
        (lambda model, tokens: moved(model, tokens, range, lambda t, place: t == place - 1), "directly before"),
        (lambda model, tokens: moved(model, tokens, lambda T: range(1, T), lambda t, place: t == 0), "Only the first answer"),
        (lambda model, tokens: moved(model, tokens, lambda T: range(1, min(T, 2)), before), "Only the second token"),
        (lambda model, tokens: moved(model, tokens, range, before, 0.02), "faint"),
        (lambda model, tokens: True, "every model leaky"),
        (writes_into_tokens, "changed its input"),
        (beyond_the_vocabulary, "raised IndexError"),
        (lambda model, tokens: torch.tensor(moved(model, tokens, range, before)), "returned a tensor"),
        (lambda model, tokens: int(moved(model, tokens, range, before)), "True or False"),
    ],
    "8.10": [
        (lambda logits, k: kept(logits, k, value=0.0), "A logit of 0"),
        (lambda logits, k: -kept(-logits, k, value=math.inf), "k smallest"),
        (lambda logits, k: kept(logits, k, keep=lambda x, edge: x > edge), "The k-th itself"),
        (lambda logits, k: kept(logits, k, place=k + 1), "k + 1"),
        (exactly_k, "which of two equals"),
        (kept_in_place, "changed its input"),
        (threshold_for_all, "One threshold"),
        (lambda logits, k: kept(logits, k).softmax(-1), "Those are probabilities"),
        (lambda logits, k: logits.topk(min(k, logits.shape[-1])).values, "Keep the shape"),
        (lambda logits, k: logits.topk(min(k, logits.shape[-1])).indices, "Those are the places"),
        (lambda logits, k: kept(logits, k, value=-1e9), "small but finite"),
        (lambda logits, k: logits.masked_fill(logits < logits.topk(k).values[..., -1:], -math.inf), "all of them are kept"),
        (lambda logits, k: logits.clone(), "Nothing was taken away"),
    ],
    "8.11": [
        (lambda q, k, v, cache: cached(q, k, v, cache, scale=1), "not scaled"),
        (lambda q, k, v, cache: cached(q, k, v, cache, scale=1 / q.shape[-1]), "divided by the head size"),
        (lambda q, k, v, cache: cached(q, k, v, cache, see="old"), "does not see itself"),
        (lambda q, k, v, cache: cached(q, k, v, cache, see="self"), "Only the newest place was looked at"),
        (lambda q, k, v, cache: cached(q, k, v, cache, keep="old"), "was not extended"),
        (lambda q, k, v, cache: cached(q, k, v, cache, keep="newest"), "the past got lost"),
        (lambda q, k, v, cache: cached(q, k, v, cache, keep="swapped"), "changed places in the new cache"),
        (in_front, "stands in front"),
        (masked_too, "no mask is needed"),
        (in_the_old_cache, "changed its input"),
        (keeping_queries, "Queries went into the cache"),
        (falls_without, "raised TypeError"),
        (lambda q, k, v, cache: cached(q, k, v, cache)[0], "two things were expected"),
    ],
    "8.12": [
        (lambda a, b, digits: example(a, b, digits, answer=str), "not reversed"),
        (lambda a, b, digits: example(a, b, digits, ask=lambda text: text[::-1]), "The question is reversed, too"),
        (lambda a, b, digits: example(a, b, digits, ask=lambda text: text[::-1], answer=str), "You reversed the question"),
        (as_a_view, "clone"),
        (lambda a, b, digits: example(a, b, digits, ignored=-1), "The = is a target"),
        (lambda a, b, digits: example(a, b, digits, ignored=1), "first digit of the answer is ignored"),
        (lambda a, b, digits: example(a, b, digits, ignored=-digits * 9), "guess the question"),
        (lambda a, b, digits: example(a, b, digits, fill=0), "0 is a digit"),
        (lambda a, b, digits: example(a, b, digits, fill=-1), "would have to be announced"),
        (lambda a, b, digits: example(a, b, digits, shift=0), "not shifted"),
        (lambda a, b, digits: example(a, b, digits, pad=False), "filled up with zeros"),
        (lambda a, b, digits: example(a, b, digits, room=0), "one digit more"),
        (lambda a, b, digits: example(a, b, digits)[::-1], "Y comes first"),
        (lambda a, b, digits: tuple(one.int() for one in example(a, b, digits)), "int64 was expected"),
        (lambda a, b, digits: tuple(one.tolist() for one in example(a, b, digits)), "two tensors"),
        (lambda a, b, digits: example(a, b, digits)[0], "a pair of tensors"),
    ],
    "8.13": [
        (table_of, "raised KeyError"),
        (nearest, "it knows them by heart"),
        (lambda pairs: without_carry, "carries nothing"),
        (lambda pairs: lambda a, b: int(f"{a + b:03d}"[::-1]), "the wrong way round"),
        (lambda pairs: lambda a, b: (a + b) % 100, "third digit"),
        (lambda pairs: lambda a, b: 100, "whatever it is asked"),
        (untrained_adder, "whatever it is asked"),
        (lambda pairs: lambda a, b: a * b % 199, "Not even the last digit"),
        (lambda pairs: lambda a, b: (a + b) % 10 + a // 10 * 10, "the carry is not yet there"),
        (lambda pairs: lambda a, b: torch.tensor(a + b), ".item()"),
        (lambda pairs: lambda a, b: f"{a + b}", "an int was expected"),
        (lambda pairs: len(pairs), "a function of a and b was expected"),
    ],
    "8.14": [
        (lambda plays, names: counted(plays[:60_000], plays), "no names"),
        (lambda plays, names: counted(lines(names), plays), "never saw the plays"),
        (lambda plays, names: counted(lines(names), plays, letters=8, little=1e-3), "by heart"),
        (shown_others, "Has it been shown others?"),
        (untrained, "hardly read anything"),
        (of_27_letters, "the letters of the names"),
        (looking_ahead, "looks ahead"),
        (awake, "Is dropout still on?"),
        (probabilities, "answers with probabilities"),
        (lambda plays, names: 2.5, "a network was expected"),
    ],
}  # fmt: skip
