"""Byte-pair encoding: a text as numbers, frequent pieces as one. Built in lesson 8.

Gage, A new algorithm for data compression, 1994; Sennrich et al., 2015 (arXiv 1508.07909); over bytes since GPT-2. Characters need no
class of their own: that is lessons_lib.data.Vocabulary([text], end=None).
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

__all__ = ["BPE", "SPLIT"]

SPLIT = r" ?[A-Za-z]+|[ \n]+|[^A-Za-z \n]+"
"""Pieces do not reach across chunks: a word with the space before it, white space, anything else. Written out, since a class such as
\\w means other characters in other programs, and tiktoken is to cut as we do."""


class BPE:
    """A byte-level tokenizer. Tokens 0 to 255 are the bytes, token 256 + k is pieces[k]; every text can be written, and read back.

    pieces: what was learned, the earliest first. Raises ValueError where one occurs twice or is shorter than two bytes.
    """

    def __init__(self, pieces: Iterable[bytes]):
        self.pieces = list(pieces)
        self._bytes = [bytes([value]) for value in range(256)] + self.pieces
        self._number = {piece: number for number, piece in enumerate(self._bytes)}
        if len(self._number) < len(self._bytes) or b"" in self._number:
            raise ValueError("each piece must be two bytes or longer, and occur once")
        self._known: dict[str, list[int]] = {}  # chunks met so far

    @classmethod
    def train(cls, text: str, size: int) -> "BPE":
        """Learn from a text: the two neighbours most often met, ties going to the smaller bytes, become a piece; again and again.

        size: tokens wanted, the 256 bytes counted. It ends with fewer where no pair of neighbours occurs twice.
        A chunk is looked at whole whenever it changes: a hundred thousand characters without a letter a to z, a space or a line
        feed among them take half a minute.
        Raises ValueError for a size below 256, and as `encode` does.
        """
        if size < 256:
            raise ValueError(f"the bytes alone are 256 tokens, and the size is {size}")
        chunks = Counter(re.findall(SPLIT, text))  # each different one is looked at once
        words, times = [_bytes_of(chunk) for chunk in chunks], list(chunks.values())
        counts: Counter[bytes] = Counter()
        where = defaultdict(set)  # the words in which two neighbours spell it
        for place, word in enumerate(words):
            for pair in map(b"".join, pairwise(word)):
                counts[pair] += times[place]
                where[pair].add(place)
        pieces: dict[bytes, None] = {}
        while len(pieces) < size - 256 and counts:
            often = max(counts.values())
            if often < 2:
                break
            best = min(pair for pair, count in counts.items() if count == often)
            for place in where.pop(best):  # only these words change, so only their pairs are counted anew
                before, words[place] = words[place], _merge(words[place], best)
                for word, sign in ((before, -1), (words[place], 1)):
                    for pair in map(b"".join, pairwise(word)):
                        counts[pair] += sign * times[place]
                        where[pair].add(place)
            where.pop(best, None)
            del counts[best]
            pieces[best] = None
        return cls(pieces)

    @property
    def size(self) -> int:
        return len(self._bytes)

    def __repr__(self) -> str:
        return f"BPE of {self.size} tokens"

    def bytes_of(self, number: int) -> bytes:
        """What a token stands for. Raises ValueError for a number that no token has."""
        if not 0 <= number < self.size:
            raise ValueError(f"no token has the number {number}: they go from 0 to {self.size - 1}")
        return self._bytes[number]

    def encode(self, text: str) -> list[int]:
        """The numbers of a text. Raises ValueError for a lone surrogate: half of a character, which no UTF-8 can hold."""
        numbers = []
        for chunk in re.findall(SPLIT, text):
            if chunk not in self._known:
                self._known[chunk] = [self._number[part] for part in self._merged(_bytes_of(chunk))]
            numbers += self._known[chunk]
        return numbers

    def _merged(self, parts: list[bytes]) -> list[bytes]:
        """Merge the neighbours that make the earliest piece, until no two make any."""
        while len(parts) > 1:
            pairs = map(b"".join, pairwise(parts))
            earliest = min(pairs, key=lambda pair: self._number.get(pair, self.size))
            if earliest not in self._number:
                break
            parts = _merge(parts, earliest)
        return parts

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of some tokens. Bytes that are no UTF-8, such as half a character at the end, become the sign �.

        Raises ValueError for a number that no token has.
        """
        return b"".join(map(self.bytes_of, numbers)).decode("utf-8", errors="replace")

    def tiktoken(self):
        """The same tokenizer as a tiktoken.Encoding, which is written in Rust. Nothing is fetched.

        The pieces must be learned ones. A chunk that is itself a piece tiktoken takes at once, without asking whether merging leads
        there; with learned pieces it always does.
        """
        import tiktoken

        return tiktoken.Encoding("lessons", pat_str=SPLIT, mergeable_ranks=self._number, special_tokens={})


def _merge(parts: list[bytes], piece: bytes) -> list[bytes]:
    """Neighbours that together spell the piece become one, from left to right."""
    merged, place = [], 0
    while place < len(parts):
        pair = b"".join(parts[place : place + 2])
        step = 2 if pair == piece and place + 1 < len(parts) else 1
        merged.append(pair if step == 2 else parts[place])
        place += step
    return merged


def _bytes_of(chunk: str) -> list[bytes]:
    try:
        return [bytes([value]) for value in chunk.encode("utf-8")]
    except UnicodeEncodeError as error:
        half = chunk[error.start]
        raise ValueError(
            f"{half!r} is half of a character (a lone surrogate), and cannot be written as bytes"
        ) from None
