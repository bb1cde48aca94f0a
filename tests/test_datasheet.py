"""The bundled files are the published ones, and the datasheet that describes them says what they hold."""

import hashlib
import re
import statistics
import string
from collections import Counter

import pytest

from lessons_lib.data import DATA, SHA256, load_names, load_text, split
from lessons_lib.fetch import LECTURES


def neighbours(name):
    """Every spelling one letter away from `name`: one left out, put in or changed."""
    for place in range(len(name) + 1):
        before, after = name[:place], name[place:]
        for letter in string.ascii_lowercase:
            yield before + letter + after
            yield before + letter + after[1:]
        yield before + after[1:]


def ranked(counts, shown):
    """'a 34,329 · i 21,076': the commonest first, those equally common by the alphabet."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return " · ".join(f"{what} {count:,}" for what, count in order[:shown])


def measured():
    """What the tables of data/README.md must say, row by row: label -> value."""
    names = load_names()
    lengths = [len(name) for name in names]
    train, dev, test = split(names)
    known = set(train)
    near = sum(any(other in known for other in neighbours(name)) for name in dev)

    plays = load_text()
    blocks = plays.rstrip("\n").split("\n\n")
    heading = re.compile(r"[A-Z][A-Z' -]*:")
    speakers = [block.split("\n")[0] for block in blocks if heading.fullmatch(block.split("\n")[0])]
    spoken = [line for line in plays.split("\n") if line and not heading.fullmatch(line)]

    return {
        "names": f"{len(names):,}",
        "distinct names": f"{len(set(names)):,}",
        "letters": f"{sum(lengths):,}",
        "predictions (letters, and one end per name)": f"{sum(lengths) + len(names):,}",
        "different characters": f"{len(set(''.join(names)))}, a to z",
        "shortest, median, mean, longest": f"{min(lengths)}, {statistics.median(lengths)}, "
        f"{statistics.mean(lengths):.2f}, {max(lengths)} letters",
        "names by length": " · ".join(
            f"{length}: {count:,}" for length, count in sorted(Counter(lengths).items())
        ),
        "how often each letter occurs": ranked(Counter("".join(names)), 26),
        "commonest first letters": ranked(Counter(name[0] for name in names), 5),
        "commonest last letters": ranked(Counter(name[-1] for name in names), 5),
        "train, dev, test": f"{len(train):,}, {len(dev):,}, {len(test):,} names",
        "predictions in each": ", ".join(
            f"{sum(map(len, part)) + len(part):,}" for part in (train, dev, test)
        ),
        "dev names one letter away from a train name": f"{near:,}, {near / len(dev):.0%}",
        "characters": f"{len(plays):,}",
        "distinct characters": f"{len(set(plays))}",
        "lines, empty ones counted": f"{plays.count(chr(10)):,}",
        "lines spoken": f"{len(spoken):,}",
        "mean and longest spoken line": f"{statistics.mean(map(len, spoken)):.1f}, {max(map(len, spoken))} characters",
        "spoken lines that occur twice": f"{len(spoken) - len(set(spoken)):,}",
        "words, by white space": f"{len(plays.split()):,}",
        "speeches": f"{len(speakers):,}",
        "different speaker headings": f"{len(set(speakers)):,}",
        "blank lines inside a speech": f"{len(blocks) - len(speakers)}",
    }


def tables():
    """The rows of every two-column table in data/README.md: label -> value."""
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", readme, flags=re.MULTILINE)
    return {label: value for label, value in rows if value != "measured"}


def test_every_number_in_the_tables_of_the_datasheet_is_what_the_files_hold():
    assert tables() == measured()


def test_the_datasheet_states_size_and_hash_of_both_files():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for file, sha256 in SHA256.items():
        assert f"| `{file}` | {(DATA / file).stat().st_size:,} | `{sha256}` |" in readme


@pytest.mark.parametrize("file", SHA256)
def test_the_bundled_files_are_the_published_ones_byte_for_byte(file):
    assert hashlib.sha256((DATA / file).read_bytes()).hexdigest() == SHA256[file]


def test_the_names_quoted_in_the_datasheet_are_in_the_list():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    quoted = re.findall(r"\*([a-z]+)\*", readme)
    assert len(quoted) >= 10
    assert set(quoted) <= set(load_names())


def test_the_speech_quoted_in_the_datasheet_is_in_the_plays():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert readme.split("```\n")[1] in load_text()


def test_the_datasheet_says_where_the_lectures_files_come_from_and_what_their_hashes_are():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    for which, (file, sha256, url) in LECTURES.items():
        assert re.search(
            rf"^\| `{which}` \| `{file}` \| [\d,]+ \| `{sha256}` \| <{re.escape(url)}> \|$", readme, re.M
        )
