"""Names and plays to learn from: reading them, spelling them as numbers, splitting them. Built in lesson 2.

Two data sets come with the course and are the default: given names (one a line, a to z) and stage dialogue. What they are
and what they are not stands in data/README.md. The lectures' own sets, `load_names("makemore")` and
`load_text("tinyshakespeare")`, are read from the folder that the environment variable LESSONS_DATA names. One is never
put in the place of the other: what cannot be had is an error.
"""

import hashlib
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

__all__ = ["DATA", "SHA256", "Split", "Vocabulary", "load_names", "load_text", "split"]

DATA = Path(__file__).resolve().parent.parent / "data"
"""The folder of the bundled data, found from this file: a notebook may run in any working directory."""

SHA256 = {
    "names.txt": "dee84b1314b95ce5c083a28ce848cfd22fc9416fc94b378614299357d69ce09f",
    "plays.txt": "f56ecb1fe18fe9da6269f190ec0f6adcb00695d7bc8a8883a2252745e20a0f2b",
}
"""The bundled files as published, for `python -m lessons_lib`. Loading does not insist on them: the files are yours to edit."""

# The lectures' sets: file name, SHA-256, where it is published. These are compared with published numbers, so they must be exact.
_LECTURES = {
    "makemore": (
        "names.txt",
        "0a30b5557f192f32ab962680889aac5f6fda0f4cecf40a6d0b5694f58ea8cc4d",
        "names.txt of https://github.com/karpathy/makemore",
    ),
    "tinyshakespeare": (
        "tinyshakespeare.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        "data/tinyshakespeare/input.txt of https://github.com/karpathy/char-rnn",
    ),
}


def load_names(which: str = "bundled") -> list[str]:
    """The given names, in the order of the file: "bundled", or "makemore", the lecture's list (which repeats some).

    Raises ValueError for another `which` and for a file that is not the lecture's; FileNotFoundError where a file is missing.
    """
    return _read(which, bundled="names.txt", lecture="makemore").splitlines()


def load_text(which: str = "bundled") -> str:
    """The stage dialogue as one string: "bundled", or "tinyshakespeare", the lecture's. Raises as `load_names` does."""
    return _read(which, bundled="plays.txt", lecture="tinyshakespeare")


def _read(which: str, bundled: str, lecture: str) -> str:
    if which == lecture:
        return _read_lecture(which)
    if which != "bundled":
        raise ValueError(f'there is no data set {which!r} here: choose "bundled" or "{lecture}"')
    path = DATA / bundled
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. `git checkout data` in the course's folder brings it back."
        )
    return path.read_text(encoding="utf-8")


def _read_lecture(which: str) -> str:
    file, sha256, published = _LECTURES[which]
    folder = os.environ.get("LESSONS_DATA")
    advice = f"It is {published}: save it under the name {file}"
    if not folder:
        raise FileNotFoundError(
            f'"{which}" is read from the folder that the environment variable LESSONS_DATA names, and that is not set. '
            f"{advice} in a folder and set LESSONS_DATA to that folder, or stay with the bundled data."
        )
    path = Path(folder).expanduser() / file
    if not path.is_file():
        raise FileNotFoundError(f"LESSONS_DATA is set, but {path} does not exist. {advice} there.")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ValueError(
            f'{path} is not the "{which}" of the lectures: its SHA-256 starts with {found[:12]}, not {sha256[:12]}. {advice}.'
        )
    return content.decode("utf-8")


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
