"""Names and plays to learn from: reading them, spelling them as numbers, splitting them, cutting them into examples. Built in
lesson 2; `examples` in lesson 4.

Two data sets come with the course and are the default: given names (one a line, a to z) and stage dialogue. What they are
and what they are not stands in data/README.md. The lectures' own sets, `load_names("makemore")` and
`load_text("tinyshakespeare")`, are fetched once (see lessons_lib.fetch), and `load_names(Path("my_names.txt"))` reads a file
of yours. One is never put in the place of the other: what cannot be had is an error.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lessons_lib.fetch import fetch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "DATA",
    "SHA256",
    "Split",
    "Vocabulary",
    "blocks",
    "examples",
    "load_names",
    "load_text",
    "split",
    "windows",
]

DATA = Path(__file__).resolve().parent.parent / "data"
"""The folder of the bundled data, found from this file: a notebook may run in any working directory."""

SHA256 = {
    "names.txt": "dee84b1314b95ce5c083a28ce848cfd22fc9416fc94b378614299357d69ce09f",
    "plays.txt": "f56ecb1fe18fe9da6269f190ec0f6adcb00695d7bc8a8883a2252745e20a0f2b",
}
"""The bundled files as published, for `python -m lessons_lib`. Loading does not insist on them: the files are yours to edit."""


def load_names(which: str | Path = "bundled") -> list[str]:
    """The given names, in the order of the file: "bundled", "makemore" (the lecture's list), or the Path of your own file.

    A file is UTF-8 and has one name a line, in the letters a to z. Blank lines, white space around a name, the line ends of
    Windows and a byte-order mark do not count. Repeats stay; `split` drops them.

    Raises ValueError for another `which`, and for a file that is empty, is not UTF-8 or has another character in a name,
    with its line; FileNotFoundError for a file that is not there; what `lessons_lib.fetch.fetch` raises for "makemore".
    """
    text, file = _read(which, bundled="names.txt", lecture="makemore")
    names = []
    for number, line in enumerate(text.split("\n"), start=1):
        name = line.strip()
        spelled = re.match("[a-z]*", name).end()
        if spelled < len(name):
            strange = name[spelled]
            # By its Unicode name too: the Cyrillic а looks like the Latin a.
            known_as = unicodedata.name(strange, f"U+{ord(strange):04X}")
            raise ValueError(
                f"{file}, line {number}: {name[max(0, spelled - 15) : spelled + 15]!r} has {strange!r} ({known_as}). Put one "
                "name on a line, in the letters a to z alone: small, without accents, spaces or signs."
            )
        if name:
            names.append(name)
    return names


def load_text(which: str | Path = "bundled") -> str:
    """Running text as one string: "bundled", the stage dialogue, "tinyshakespeare", the lecture's, or the Path of your own file.

    Every line ends in a line feed alone, whatever the file has; a byte-order mark is left out. Raises as `load_names` does,
    but any character may occur, except NUL.
    """
    return _read(which, bundled="plays.txt", lecture="tinyshakespeare")[0]


def _read(which: str | Path, bundled: str, lecture: str) -> tuple[str, str | Path]:
    """The text of a data set, not empty, and the file to name in errors."""
    if which == lecture:
        return _decode(fetch(lecture), lecture), lecture
    if which == "bundled":
        path, advice = DATA / bundled, "`git checkout data` in the course's folder brings it back."
    elif isinstance(which, Path):
        advice = "Is it the file that you mean?"
        try:
            path = which.expanduser().absolute()
        except RuntimeError:  # ~somebody, whom the system does not know
            raise FileNotFoundError(f"{which} is missing. {advice}") from None
    else:
        raise ValueError(
            f'there is no data set {which!r} here: choose "bundled" or "{lecture}"; a file of your own is given as a '
            'pathlib.Path, like Path("mine.txt")'
        )
    if not path.is_file():
        raise FileNotFoundError(f"{path} is {'a folder' if path.is_dir() else 'missing'}. {advice}")
    text = _decode(path.read_bytes(), path)
    if not text.strip():
        raise ValueError(f"{path} is empty, or blank from line 1 on. {advice}")
    return text, path


def _decode(content: bytes, file: str | Path) -> str:
    """The text of a UTF-8 file, from whichever system. ValueError names the line of the first byte that cannot be text."""
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    wrong = content.find(b"\0")  # UTF-16 is half NUL bytes, and those would pass as UTF-8
    if wrong < 0:
        try:
            return content.decode("utf-8")
        except UnicodeDecodeError as error:
            wrong = error.start
    line = content.count(b"\n", 0, wrong) + 1
    raise ValueError(
        f"{file}, line {line}: the byte 0x{content[wrong]:02x} is no text in UTF-8, so the file has another encoding. "
        "Open it in an editor and save it as UTF-8."
    )


class Vocabulary:
    """The characters that occur in some texts, each with a number: `characters[i]` has number i.

    texts: strings; names, or one long text in a list.
    end:   the mark that ends every text and has number 0, so that names over a-z give '.' and 26 letters. It may not occur
           inside a text (ValueError). `end=None` is for running text, where a full stop is a character like any other.
    """

    def __init__(self, texts: Iterable[str], end: str | None = "."):
        if end is not None and len(end) != 1:
            raise ValueError(f"the end mark must be one character or None, and it is {end!r}")
        found = set().union(*texts)
        if end in found:
            raise ValueError(
                f"the end mark {end!r} occurs inside the texts: choose another, or end=None for running text"
            )
        self.end = end
        self.characters = (end or "") + "".join(sorted(found))
        self._numbers = {character: number for number, character in enumerate(self.characters)}

    @property
    def size(self) -> int:
        """How many characters there are, the end mark among them."""
        return len(self.characters)

    def __len__(self) -> int:
        return len(self.characters)

    def __repr__(self) -> str:
        return f"Vocabulary of {self.size} characters: {self.characters!r}"

    def encode(self, text: str) -> list[int]:
        """The numbers of the characters of `text`; nothing is added at its end. ValueError names the first unknown one."""
        try:
            return [self._numbers[character] for character in text]
        except KeyError as unknown:
            raise ValueError(
                f"{unknown.args[0]!r} is not among the {self.size} characters known here: {self.characters!r}"
            ) from None

    def decode(self, numbers: Iterable[int]) -> str:
        """The text that these numbers spell. ValueError for a number that no character has (-1 is not the last one)."""
        numbers = [int(number) for number in numbers]
        for number in numbers:
            if not 0 <= number < self.size:
                raise ValueError(f"no character has the number {number}: they go from 0 to {self.size - 1}")
        return "".join(self.characters[number] for number in numbers)


class Split(NamedTuple):
    """Names to learn from, names to choose by, and names to look at once, at the end."""

    train: list[str]
    dev: list[str]
    test: list[str]


def split(
    names: Sequence[str],
    seed: int = 42,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    distinct: bool = True,
) -> Split:
    """Shuffle a copy of the names by `seed` and cut it in three. The parts of a very short list may be empty.

    A name that stood in two parts would be tested after being learned, so repeats are dropped first. `distinct=False` keeps
    them and, with the defaults, gives exactly the split of the lectures, leak and all. The global random generator is not
    touched. Raises ValueError where the fractions are not three shares of a whole.
    """
    if len(fractions) != 3 or min(fractions) < 0 or not abs(sum(fractions) - 1) <= 1e-9:
        raise ValueError(f"fractions must be three shares that sum to 1, and they are {fractions}")
    shuffled = list(dict.fromkeys(names)) if distinct else list(names)
    random.Random(seed).shuffle(shuffled)
    # 0.7 + 0.1 is 0.7999999999999999: without the small addition 10 names would lose their only dev name to rounding.
    first, second = (
        int(share * len(shuffled) + 1e-9) for share in (fractions[0], fractions[0] + fractions[1])
    )
    return Split(shuffled[:first], shuffled[first:second], shuffled[second:])


def windows(names: Iterable[str], n: int, vocabulary: Vocabulary) -> Tensor:
    """Every character of the names, the end of each among them, with the n - 1 before it: (N, n) int64, the character last.

    The rows stand in reading order, and N does not depend on n. Raises TypeError for a single string; ValueError for n below 1,
    a vocabulary without an end mark, the end mark inside a name, and a character that is not in the vocabulary.
    """
    if isinstance(names, str):
        raise TypeError(f"a list of names is wanted, and this is one string, {names[:30]!r}")
    if n < 1:
        raise ValueError(f"an n-gram has 1 character or more, and n is {n}")
    import torch  # waited for here alone: reading and splitting names needs none of it

    names, end = list(names), _end(vocabulary)
    for name in names:
        if end in name:
            raise ValueError(f"{name!r} has the end mark {end!r} inside")

    # One tape with all names, each behind its padding. A window ends at every place that is not padding.
    padding = end * (n - 1)
    tape = _numbers("".join(padding + name + end for name in names), vocabulary)
    lengths = torch.tensor([len(name) + n for name in names], dtype=torch.int64)
    starts = lengths.cumsum(0) - lengths
    is_padding = torch.zeros(len(tape), dtype=torch.bool)
    is_padding[starts[:, None] + torch.arange(n - 1)] = True
    (places,) = torch.where(~is_padding)  # (N,)
    return tape[places[:, None] + torch.arange(1 - n, 1)]


def examples(names: Iterable[str], context: int, vocabulary: Vocabulary) -> tuple[Tensor, Tensor]:
    """What a network learns from: the `context` characters before each place, X (N, context), and what stands there, Y (N,).

    Both int64 and contiguous, in reading order; the end of each name is a character to predict too. `context` may be 0, and X is
    (N, 0) then. Raises as `windows` does, and ValueError for a context below 0. Built in lesson 4.
    """
    if context < 0:
        raise ValueError(f"a context has 0 characters or more, and this one is {context}")
    rows = windows(names, context + 1, vocabulary)
    return rows[:, :-1].contiguous(), rows[:, -1].contiguous()


def blocks(numbers: Tensor, block: int, stride: int | None = None) -> tuple[Tensor, Tensor]:
    """A text cut into rows: X (M, block), and Y (M, block) with the number after each of X. Row m begins at place m * stride.

    numbers: (N,), the tokens of the text in order. stride: `block` unless it is given; what is left at the end and fills no row is
    left out. Raises ValueError where block or stride is below 1, or the text is too short for a single row. Built in lesson 8.
    """
    stride = block if stride is None else stride
    if block < 1 or stride < 1:
        raise ValueError(f"block and stride are 1 or more, and they are {block} and {stride}")
    if len(numbers) <= block:
        raise ValueError(
            f"a block of {block:,} and the token after it need {block + 1:,} tokens, and the text has {len(numbers):,}"
        )
    X, Y = (
        some.unfold(0, block, stride).clone() for some in (numbers[:-1], numbers[1:])
    )  # rows of their own
    return X.contiguous(), Y.contiguous()


def _end(vocabulary: Vocabulary) -> str:
    if vocabulary.end is None:
        raise ValueError("names need a vocabulary with an end mark, and this one has none")
    return vocabulary.end


def _numbers(text: str, vocabulary: Vocabulary) -> Tensor:
    """`vocabulary.encode` for long texts, (len(text),) int64: all characters are looked up at once, by their code points."""
    import numpy as np
    import torch

    if not set(text) <= set(vocabulary.characters):
        vocabulary.encode(text)  # raises, and says which character it does not know
    known, wanted = (
        np.frombuffer(some.encode("utf-32-le"), dtype="<u4") for some in (vocabulary.characters, text)
    )
    number_of = np.zeros(known.max() + 1, dtype=np.int64)
    number_of[known] = np.arange(len(known))
    return torch.from_numpy(number_of[wanted])
