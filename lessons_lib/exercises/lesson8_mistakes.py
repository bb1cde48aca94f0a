"""Exercises 8.1 to 8.4 as rules: the right one, and what is often made of it, each with the sentence that names the mistake.

The rules are written slowly and plainly on purpose; lessons_lib.tokenizers has the quick form, and a test holds the two together.
"""

from collections import Counter
from itertools import pairwise

# 8.1


def merged(parts, piece, step=2, first_only=False) -> list[bytes]:
    """Neighbours that together spell the piece become one, from left to right. step: 1 keeps the right one of the two as well."""
    out, place, done = [], 0, False
    while place < len(parts):
        together = not done and place + 1 < len(parts) and parts[place] + parts[place + 1] == piece
        out.append(piece if together else parts[place])
        done = done or (together and first_only)
        place += step if together else 1
    return out


def from_the_right(parts, piece) -> list[bytes]:
    """The same from right to left."""
    return [part[::-1] for part in merged([part[::-1] for part in parts[::-1]], piece[::-1])][::-1]


def overlapping(parts, piece) -> list[bytes]:
    """Every pair that spells the piece, and what belongs to none."""
    hits = {place for place, (left, right) in enumerate(pairwise(parts)) if left + right == piece}
    out = [
        piece if place in hits else part
        for place, part in enumerate(parts)
        if place in hits or place - 1 not in hits
    ]
    return out


def of_one_cut(parts, piece, at) -> list[bytes]:
    """Merges only where left and right are the piece cut at one place."""
    out, place = [], 0
    while place < len(parts):
        together = parts[place : place + 2] == [piece[:at], piece[at:]]
        out.append(piece if together else parts[place])
        place += 1 + together
    return out


def without_the_last(parts, piece) -> list[bytes]:
    """Goes on as long as a part has a right neighbour, and forgets the one that has none."""
    out = merged(parts, piece)
    return out[:-1] if parts and out[-1] == parts[-1] else out


def of_any_number(parts, piece) -> list[bytes]:
    """Merges as many parts as it takes, not two alone."""
    out, place = [], 0
    while place < len(parts):
        ends = [
            end for end in range(place + 2, len(parts) + 1) if b"".join(parts[place:end]) == piece and piece
        ]
        out.append(piece if ends else parts[place])
        place = ends[0] if ends else place + 1
    return out


OF_MERGE = (
    (overlapping, "A part was used twice: in a a a there are two pairs, and only one of them can be merged."),
    (lambda parts, piece: merged(parts, piece, step=1), "The right one of the two is still there; go on behind it."),
    (from_the_right, "That is from right to left: of a a a the first two are merged."),
    (lambda parts, piece: merged(parts, piece, first_only=True), "Only the first place was merged; all of them are wanted."),
    (
        lambda parts, piece: of_one_cut(parts, piece, 1),
        "You cut the piece behind its first byte and looked for these two. What counts is what two neighbours spell together: a + bc is "
        "abc, and ab + c is abc, too.",
    ),
    (
        lambda parts, piece: of_one_cut(parts, piece, -1),
        "You cut the piece before its last byte and looked for these two. What counts is what two neighbours spell together: ab + c is "
        "abc, and a + bc is abc, too.",
    ),
    (of_any_number, "Two neighbours at a time: yours merges three as well."),
    (without_the_last, "The last part got lost where it was not merged."),
    (lambda parts, piece: [part for part in parts if part], "Nothing was merged."),
    (
        lambda parts, piece: [b"".join(parts)] if piece in b"".join(parts) else parts,
        "All of it became one part; only the two that spell the piece do.",
    ),
    (lambda parts, piece: [part for part in merged(parts, piece) if part == piece], "The parts that were not merged are missing."),
)  # fmt: skip


# 8.2


def letters(word: bytes) -> list[bytes]:
    return [word[place : place + 1] for place in range(len(word))]


def pairs(parts, once=False) -> list[tuple[bytes, bytes]]:
    """The neighbours. once: aa is found once in aaa."""
    found, place = [], 0
    while place + 1 < len(parts):
        pair = parts[place], parts[place + 1]
        found.append(pair)
        place += 2 if once and pair[0] == pair[1] and parts[place + 2 : place + 3] == [pair[0]] else 1
    return found


def learned(
    words,
    size,
    times=True,
    per_word=False,
    once=False,
    across=False,
    ties="smallest",
    recount=True,
    bytes_counted=True,
    least=2,
    extra=0,
) -> list[bytes]:
    """What 8.2 asks for, and, by its keywords, what it is mistaken for."""
    split = [(letters(word), count if times else 1) for word, count in words.items()]
    if across:
        split = [([part for parts, count in split for part in parts * count], 1)]
    pieces, counts = [], Counter()
    while len(pieces) < size - 256 * bytes_counted + extra:
        if recount or not pieces:
            counts = Counter()
            for parts, count in split:
                found = pairs(parts, once)
                for pair in set(found) if per_word else found:
                    counts[pair] += count
        often = max(counts.values(), default=0)
        if often < least:
            break
        best = [pair for pair, count in counts.items() if count == often]
        match ties:
            case "smallest":
                pair = min(best, key=b"".join)
            case "largest":
                pair = max(best, key=b"".join)
            case "pair":
                pair = min(best)
            case "first":
                pair = best[0]
        del counts[pair]
        pieces.append(b"".join(pair))
        split = [(merged(parts, pieces[-1]), count) for parts, count in split]
    return pieces


OF_LEARN = (
    (lambda words, size: learned(words, size, times=False), "How often a word occurs is ignored: each counts as if it stood there once."),
    (lambda words, size: learned(words, size, per_word=True), "A pair that stands in a word twice counts twice, and in yours once."),
    (lambda words, size: learned(words, size, once=True), "In aaa there are two pairs of neighbours, and you counted one."),
    (
        lambda words, size: learned(words, size, across=True),
        "You counted and merged across the ends of words. A piece stays within one.",
    ),
    (lambda words, size: learned(words, size, ties="first"), "Where two occur equally often, the smallest bytes win; yours takes the one met first."),
    (lambda words, size: learned(words, size, ties="largest"), "Where two occur equally often, the smallest bytes win; yours takes the largest."),
    (
        lambda words, size: learned(words, size, recount=False),
        "You counted once, at the beginning. What has been merged makes new neighbours: count again after each piece.",
    ),
    (lambda words, size: learned(words, size, bytes_counted=False), "The 256 bytes belong to the size: so many pieces are too many."),
    (lambda words, size: learned(words, size, extra=1), "One piece too many: the 256 bytes and the pieces together are `size`."),
    (lambda words, size: learned(words, size, extra=-1), "One piece too few: the 256 bytes and the pieces together are `size`."),
    (lambda words, size: learned(words, size, least=1), "It should end where no pair occurs twice; yours goes on with what it met once."),
    (lambda words, size: learned(words, size, least=3), "It ends too early: a pair that occurs twice is enough."),
    (
        lambda words, size: learned(words, size, ties="pair"),
        "Where two occur equally often, compare what they spell: ab + b is smaller than a + bc, though a is smaller than ab.",
    ),
    (lambda words, size: [bytes([value]) for value in range(256)] + learned(words, size), "The 256 bytes are known; only the pieces were asked for."),
    (lambda words, size: learned(words, size)[::-1], "The order is turned round: what was learned first stands first."),
    (lambda words, size: sorted(learned(words, size)), "The pieces are sorted; they should stand in the order in which they were learned."),
    (lambda words, size: sorted(learned(words, size), key=lambda piece: (len(piece), piece)), "The pieces are sorted; they should stand in the order in which they were learned."),
)  # fmt: skip


# 8.3


def encoded(chunk, pieces, pick=min, offset=256, passes=None) -> list[int]:
    """One chunk: the earliest piece that two neighbours spell, everywhere; then again. pick: which of the ranks found."""
    parts, done = letters(chunk), 0
    while done != passes:
        ranks = [pieces.index(a + b) for a, b in pairwise(parts) if a + b in pieces]
        if not ranks:
            break
        parts, done = merged(parts, pieces[pick(ranks)]), done + 1
    return numbered(parts, pieces, offset)


def numbered(parts, pieces, offset=256) -> list[int]:
    return [part[0] if len(part) == 1 else offset + pieces.index(part) for part in parts]


def longest(chunk, pieces) -> list[int]:
    """From the left, always the longest piece that fits."""
    parts, place = [], 0
    while place < len(chunk):
        fitting = [piece for piece in pieces if chunk.startswith(piece, place)]
        parts.append(max(fitting, key=len, default=chunk[place : place + 1]))
        place += len(parts[-1])
    return numbered(parts, pieces)


def longest_first(chunk, pieces) -> list[int]:
    """Of the pieces that neighbours spell, always the longest."""
    return encoded(chunk, pieces, pick=lambda ranks: max(ranks, key=lambda rank: len(pieces[rank])))


def one_pass(chunk, pieces) -> list[int]:
    """Once from left to right over the bytes."""
    parts, out = letters(chunk), []
    while parts:
        if len(parts) > 1 and parts[0] + parts[1] in pieces:
            out, parts = [*out, parts[0] + parts[1]], parts[2:]
        else:
            out, parts = [*out, parts[0]], parts[1:]
    return numbered(out, pieces)


def swallowing(chunk, pieces) -> list[int]:
    """From left to right, each part growing as long as it can."""
    out = []
    for part in letters(chunk):
        if out and out[-1] + part in pieces:
            out[-1] += part
        else:
            out.append(part)
    return numbered(out, pieces)


RANKS = "The earliest piece comes first, wherever in the chunk it stands; then you look again."
OF_ENCODE = (
    (longest, f"That is the longest piece that fits, from the left. {RANKS}"),
    (longest_first, f"That is the longest piece first. {RANKS}"),
    (lambda chunk, pieces: encoded(chunk, pieces, pick=lambda ranks: ranks[0]), f"You merge whatever stands furthest left. {RANKS}"),
    (one_pass, f"You went over the chunk once. {RANKS}"),
    (swallowing, f"From left to right, each part grows as long as it can. {RANKS}"),
    (lambda chunk, pieces: encoded(chunk, pieces, pick=max), f"The latest piece comes first in yours. {RANKS}"),
    (
        lambda chunk, pieces: encoded(chunk, pieces, passes=1),
        "You merged one piece and stopped. Go on until no two neighbours spell any.",
    ),
    (lambda chunk, pieces: encoded(chunk, pieces, offset=0), "The first 256 numbers are the bytes: piece k has the number 256 + k."),
    (lambda chunk, pieces: encoded(chunk, pieces, offset=257), "Pieces are counted from 0: piece k has the number 256 + k."),
    (lambda chunk, pieces: encoded(chunk, pieces, offset=255), "Pieces are counted from 0: piece k has the number 256 + k."),
    (lambda chunk, pieces: [*chunk], "Those are the bytes, and nothing was merged."),
    (lambda chunk, pieces: numbered(letters(chunk)[::-1], pieces), "The order is turned round."),
)  # fmt: skip


# 8.4


def parts_of(numbers, pieces) -> list[bytes]:
    return [bytes([number]) if number < 256 else pieces[number - 256] for number in numbers]


def decoded(numbers, pieces, errors="replace", encoding="utf-8") -> str:
    return b"".join(parts_of(numbers, pieces)).decode(encoding, errors)


STRICT = 'A model may say half a character, and a prompt may be cut in one. `errors="replace"` puts the sign � there, and goes on.'
ALONE = (
    "Each token was decoded for itself; é is two bytes, and these may be two tokens. Join the bytes first."
)
OF_DECODE = (
    (lambda numbers, pieces: decoded(numbers, pieces, "strict"), STRICT),
    (lambda numbers, pieces: "".join(part.decode() for part in parts_of(numbers, pieces)), ALONE),
    (lambda numbers, pieces: "".join(part.decode(errors="replace") for part in parts_of(numbers, pieces)), ALONE),
    (lambda numbers, pieces: "".join(part.decode(errors="ignore") for part in parts_of(numbers, pieces)), ALONE),
    (
        lambda numbers, pieces: decoded(numbers, pieces, "ignore"),
        "What is no character was left out without a word; it should be seen, as the sign �.",
    ),
    (
        lambda numbers, pieces: decoded(numbers, pieces, encoding="latin-1"),
        "That is Latin-1, one character for each byte. The bytes are UTF-8.",
    ),
    (
        lambda numbers, pieces: "".join(chr(n) if n < 256 else pieces[n - 256].decode() for n in numbers),
        "A byte is no character: chr(195) is Ã. Join the bytes and decode them as UTF-8.",
    ),
    (
        lambda numbers, pieces: "".join(chr(n) if n < 256 else pieces[n - 256].decode(errors="replace") for n in numbers),
        "A byte is no character: chr(195) is Ã. Join the bytes and decode them as UTF-8.",
    ),
    (lambda numbers, pieces: decoded(numbers, pieces, "backslashreplace"), STRICT),
    (
        lambda numbers, pieces: b"".join(bytes([n]) if n < 256 else pieces[n] for n in numbers).decode(errors="replace"),
        "Piece k has the number 256 + k: in the list it stands 256 places earlier.",
    ),
    (
        lambda numbers, pieces: b"".join(bytes([n]) if n < 256 else pieces[n - 257] for n in numbers).decode(errors="replace"),
        "The number 256 is the first piece, pieces[0].",
    ),
    (lambda numbers, pieces: decoded(numbers[::-1], pieces), "The order is turned round."),
)  # fmt: skip
