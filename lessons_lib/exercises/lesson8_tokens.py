"""The checks of lesson 8 about tokens: merging, learning, encoding and decoding, 8.1 to 8.4. What is right is computed the slow way.

A piece is bytes, and so is a chunk; the mistakes of each exercise stand in lesson8_mistakes.
"""

from collections.abc import Callable, Iterable

from lessons_lib.exercises import lesson8_mistakes as mistakes
from lessons_lib.exercises.engine import NotYet, call, show_call
from lessons_lib.exercises.expect import brief


def cut(letters: str) -> list[bytes]:
    """ "a bc" -> [b"a", b"bc"]"""
    return [part.encode() for part in letters.split()]


MERGES = (
    (cut("a b"), b"ab"),
    (cut("b a"), b"ab"),
    (cut("a b c"), b"bc"),
    (cut("c a b a b"), b"ab"),
    (cut("a a a"), b"aa"),
    (cut("a a a a b"), b"aa"),
    (cut("ab c a bc"), b"abc"),
    (cut("a b c abc"), b"abc"),
    (cut("ab ab ab ab"), b"abab"),
    ([], b"ab"),
    (cut("a"), b"aa"),
    ([b"n", b"\xc3", b"\xa9", b"e"], b"\xc3\xa9"),
)

WORDS = (
    ({b"ab": 2}, 257),
    ({b"ab": 5}, 256),
    ({b"ab": 1, b"cd": 1}, 300),
    ({b"ab": 1, b"ca": 1}, 300),
    ({b"cab": 3, b"ab": 1, b"dc": 2}, 258),
    ({b"xyxy": 1, b"zx": 1}, 257),
    ({b"ab": 2, b"cd": 9}, 257),
    ({b"aaa": 1}, 260),
    ({b"zy": 2, b"ab": 2, b"ya": 2}, 259),
    ({b"abc": 4, b"abd": 3, b"bc": 2}, 258),
    ({b"bc": 9, b"abc": 3, b"ab": 5, b"abb": 3}, 260),
    ({"née".encode(): 3, "fée".encode(): 2}, 259),
    ({b" the": 31, b" they": 7, b" then": 9, b"The": 4, b" other": 5, b"\n\n": 6, b" than": 8}, 268),
    ({b"banana": 2, b"ananas": 3, b"nan": 1, b"\n": 40}, 300),
)

CHUNKS = (
    (b"a", []),
    (b"", [b"ab"]),
    (b"ab", [b"ab"]),
    (b"cab", [b"xy", b"ab"]),
    (b"abc", [b"bc", b"ab"]),
    (b"abab", [b"ab"]),
    (b"aaaaa", [b"aa"]),
    (b"aaaaa", [b"aa", b"aaaa"]),
    (b"abcd", [b"cd", b"bcd", b"ab"]),
    (b"abcd", [b"bc", b"bcd", b"abcd", b"ab"]),
    (b"stpqst", [b"st", b"qst", b"pq"]),
    (b"abcde", [b"ab", b"de", b"cde", b"abc"]),
    (b"abcabd", [b"ab", b"abc", b"ca", b"abd"]),
    ("né".encode(), ["é".encode()]),
    (b" thethen", [b"th", b"the", b" the", b"en", b"then"]),
    (b"mnopmno", [b"no", b"mno", b"op", b"mn", b"mnop"]),
)

NUMBERS = (
    ([], [b"ab"]),
    ([72, 105], []),
    ([256, 99], [b"ab"]),
    ([97, 257, 256], [b"th", b"the"]),
    ([195, 169], []),
    ([110, 256, 169], [b"e\xc3"]),
    ([256, 257, 33], [b"\xe2\x82", b"\xac "]),
    ([97, 195], []),
    ([195, 40], [b"zz"]),
    ([128, 256, 255], [b"\xf0\x9f"]),
)


def outcomes(function: Callable, problems: Iterable[tuple]) -> list:
    """What the function gives on every problem; where it raises, the type of the exception stands for it."""

    def one(problem):
        try:
            return call(function, *problem)
        except NotYet as told:
            return type(told.__cause__)

    return [one(problem) for problem in problems]


def of_rules(answer: Callable, problems: Iterable[tuple], rules: Iterable[tuple[Callable, str]]) -> str:
    """The name of the first rule that gives what the answer gives on every problem, in words; "" where none does."""
    problems = list(problems)
    said = outcomes(answer, problems)
    return next((name for rule, name in rules if outcomes(rule, problems) == said), "")


def listed(answer: Callable, problems: tuple, right: Callable, rules: tuple, kind: type) -> None:
    """NotYet unless the answer gives, for every problem, the list that `right` gives. kind: of what stands in the list."""
    for problem in problems:
        wanted, seen = right(*problem), show_call(answer, *problem)
        try:
            got = call(answer, *problem)
        except NotYet as told:
            raise NotYet(f"{told} {of_rules(answer, problems, rules)}".rstrip()) from told.__cause__
        if not isinstance(got, list):
            raise NotYet(
                f"{seen} returned {brief(got)}, of type {type(got).__name__}; a list was expected: {brief(wanted)}."
            )
        strange = [one for one in got if not isinstance(one, kind) or isinstance(one, bool)]
        if strange:
            raise NotYet(
                f"{seen} returned {brief(got)}. In the list there should be {kind.__name__} alone, and {brief(strange[0])} is of "
                f"type {type(strange[0]).__name__}; {brief(wanted)} was expected."
            )
        if got != wanted:
            name = of_rules(answer, problems, rules)
            raise NotYet(f"{seen} returned {brief(got)}; {brief(wanted)} was expected. {name}".rstrip())


def merge(answer):
    """8.1: merge(parts, piece), neighbours that spell the piece become one."""
    listed(answer, MERGES, mistakes.merged, mistakes.OF_MERGE, bytes)
    return "All of byte-pair encoding is this, repeated; learning is the question which piece, and encoding the question in which order."


def learn(answer):
    """8.2: learn(words, size), the pieces in the order in which they are learned."""
    listed(answer, WORDS, mistakes.learned, mistakes.OF_LEARN, bytes)
    return "Nobody told it what a syllable is. It counted, as the table of lesson 2 did, and wrote down what it kept meeting."


def encode(answer):
    """8.3: encode(chunk, pieces), the numbers of one chunk."""
    listed(answer, CHUNKS, mistakes.encoded, mistakes.OF_ENCODE, int)
    return "The order of learning is the order of reading: that is why a tokenizer is a list, and no set."


def decode(answer):
    """8.4: decode(numbers, pieces), the text, whatever the numbers."""
    for numbers, pieces in NUMBERS:
        wanted, seen = mistakes.decoded(numbers, pieces), show_call(answer, numbers, pieces)
        try:
            got = call(answer, numbers, pieces)
        except NotYet as told:
            name = of_rules(answer, NUMBERS, mistakes.OF_DECODE)
            raise NotYet(f"{told} {name}".rstrip()) from told.__cause__
        if not isinstance(got, str):
            more = " What is missing is the decoding." * isinstance(got, bytes | bytearray | list)
            raise NotYet(
                f"{seen} returned {brief(got)}, of type {type(got).__name__}; a str was expected.{more}"
            )
        if got != wanted:
            name = of_rules(answer, NUMBERS, mistakes.OF_DECODE)
            raise NotYet(f"{seen} returned {got!r}; {wanted!r} was expected. {name}".rstrip())
    return "Half a character is no error for a model, which says one token after another; it is one only for who reads too early."


CHECKS = {"8.1": merge, "8.2": learn, "8.3": encode, "8.4": decode}
