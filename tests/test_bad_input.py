"""Whatever a file holds, its names and text come out right, or an error names the file, the line and what to do."""

import codecs
import math
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib import data
from lessons_lib.data import DATA, Vocabulary, load_names, load_text, split
from lessons_lib.ladder import evaluate, unigram

BOTH = pytest.mark.parametrize("load", [load_names, load_text])


@pytest.fixture
def saved(tmp_path):
    """A function that saves bytes in a file of the learner's and returns its path."""

    def save(content: bytes) -> Path:
        path = tmp_path / "mine.txt"
        path.write_bytes(content)
        return path

    return save


# What is read rightly.


def test_names_of_your_own_come_in_the_order_of_the_file(saved):
    assert load_names(saved(b"zoe\nada\nemma\n")) == ["zoe", "ada", "emma"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "old mac"])
def test_line_ends_of_any_system_are_read_as_line_ends(saved, end):
    assert load_names(saved(end.join([b"zoe", b"ada", b""]))) == ["zoe", "ada"]
    assert load_text(saved(end.join([b"ZOE:", b"Ada?", b"", b""]))) == "ZOE:\nAda?\n\n"


def test_a_byte_order_mark_is_no_part_of_the_first_name_or_of_the_text(saved):
    assert load_names(saved(codecs.BOM_UTF8 + b"zoe\nada\n")) == ["zoe", "ada"]
    assert load_text(saved(codecs.BOM_UTF8 + b"ZOE:\n")) == "ZOE:\n"


def test_a_last_line_without_an_end_counts(saved):
    assert load_names(saved(b"zoe\nada")) == ["zoe", "ada"]


def test_blank_lines_and_white_space_around_a_name_make_no_names(saved):
    assert load_names(saved(b"\n\nzoe \n \t\n\tada\n\n")) == ["zoe", "ada"]


def test_repeated_names_stay_and_a_split_drops_them(saved):
    names = load_names(saved(b"zoe\nada\nzoe\nzoe\n"))
    assert names == ["zoe", "ada", "zoe", "zoe"]
    assert sorted(name for part in split(names) for name in part) == ["ada", "zoe"]


def test_a_name_of_10_000_letters_is_a_name_like_any_other(saved):
    long = "ab" * 5_000
    names = load_names(saved(f"zoe\n{long}\n".encode()))
    assert names == ["zoe", long]
    assert Vocabulary(names).decode(Vocabulary(names).encode(long)) == long
    counts = {".": 1, "a": 5_000, "b": 5_000}
    expected = -sum(count * math.log(count / 10_001) for count in counts.values()) / 10_001
    assert evaluate(unigram([long]), [long]) == pytest.approx(expected, abs=1e-12)


@settings(database=None, deadline=None)
@given(
    names=st.lists(st.text("abcz", min_size=1, max_size=6), min_size=1),
    ends=st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\r\n \r\n", " \n"]), min_size=1),
    mark=st.booleans(),
)
def test_names_survive_any_mixture_of_line_ends_blank_lines_and_marks(tmp_path_factory, names, ends, mark):
    path = tmp_path_factory.getbasetemp() / "mixed.txt"
    lines = [name + ends[number % len(ends)] for number, name in enumerate(names)]
    path.write_bytes(mark * codecs.BOM_UTF8 + "".join(lines).encode())
    assert load_names(path) == names


def test_text_of_your_own_may_have_any_character(saved):
    strange = "Zoë: “¿Qué?” \u2028 名前\x0b\n"
    assert load_text(saved(strange.encode())) == strange


@pytest.mark.parametrize("name", ["bundled", "makemore"])
def test_a_path_is_a_file_even_where_it_is_named_like_a_data_set(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("zoe\n", encoding="utf-8")
    assert load_names(Path(name)) == ["zoe"]


def test_a_bundled_file_that_the_learner_has_edited_is_read_as_it_is(tmp_path, monkeypatch):
    for file in ("names.txt", "plays.txt"):
        shutil.copy(DATA / file, tmp_path)
        with (tmp_path / file).open("ab") as edited:
            edited.write(b"zzyzx\r\n")
    monkeypatch.setattr(data, "DATA", tmp_path)
    assert load_names()[-2:][1] == "zzyzx"
    assert load_text().endswith("\nzzyzx\n")


# What is refused.


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("Ada", r"'Ada' has 'A' \(LATIN CAPITAL LETTER A\)"),
        ("zoë", r"'zoë' has 'ë' \(LATIN SMALL LETTER E WITH DIAERESIS\)"),
        ("zoe\u0308", r"COMBINING DIAERESIS"),
        ("d\u0430n", r"'d\u0430n' has '\u0430' \(CYRILLIC SMALL LETTER A\)"),
        ("anne marie", r"'anne marie' has ' ' \(SPACE\)"),
        ("o'neill", r"APOSTROPHE"),
        ("zoe,f,120", r"'zoe,f,120' has ',' \(COMMA\)"),
        ("zoe\u2028ada", r"'zoe\\u2028ada' has '\\u2028' \(LINE SEPARATOR\)"),
        ("zoe\x0bada", r"'zoe\\x0bada' has '\\x0b' \(U\+000B\)"),
        ("zo\ufeffe", r"ZERO WIDTH NO-BREAK SPACE"),
        ("a" * 10_000 + "!", r"'a{15}!' has '!'"),
    ],
)
def test_a_character_that_is_no_letter_is_named_with_its_line_and_what_to_do(saved, line, word):
    path = saved(f"eva\r\n\r\n{line}\r\nida\r\n".encode())
    with pytest.raises(ValueError, match=rf"mine\.txt, line 3: .*{word}.* letters a to z") as error:
        load_names(path)
    assert str(path) in str(error.value)


def test_an_unknown_character_in_an_edited_bundled_file_is_refused_too(tmp_path, monkeypatch):
    (tmp_path / "names.txt").write_text("sara\nZoe\n", encoding="utf-8")
    monkeypatch.setattr(data, "DATA", tmp_path)
    with pytest.raises(ValueError, match=r"names\.txt, line 2: 'Zoe' has 'Z'"):
        load_names()


@BOTH
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["unix", "windows", "old mac"])
@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8], ids=["", "marked"])
def test_latin_1_is_not_taken_for_utf_8_and_the_line_is_named(saved, load, end, mark):
    path = saved(mark + end.join([b"eva", b"ida", "zoë".encode("latin-1"), b""]))
    with pytest.raises(
        ValueError, match=r"mine\.txt, line 3: the byte 0xeb is no text in UTF-8.*save it as UTF-8"
    ):
        load(path)


@BOTH
@pytest.mark.parametrize(("encoding", "byte"), [("utf-16", ".."), ("utf-16-le", "00"), ("utf-16-be", "00")])
def test_utf_16_is_refused_with_and_without_its_mark(saved, load, encoding, byte):
    with pytest.raises(ValueError, match=rf"mine\.txt, line 1: the byte 0x{byte} is no text in UTF-8"):
        load(saved("eva\n".encode(encoding)))


@BOTH
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b" \r\n\t\r\n", codecs.BOM_UTF8],
    ids=["empty", "one end", "blank", "mark"],
)
def test_a_file_without_text_is_refused(saved, load, content):
    with pytest.raises(ValueError, match=r"mine\.txt is empty, or blank from line 1 on\. Is it the file"):
        load(saved(content))


@BOTH
def test_a_bundled_file_that_is_missing_or_empty_says_how_to_get_it_back(tmp_path, monkeypatch, load):
    monkeypatch.setattr(data, "DATA", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"(names|plays)\.txt is missing\. `git checkout data`"):
        load()
    for file in ("names.txt", "plays.txt"):
        (tmp_path / file).touch()
    with pytest.raises(ValueError, match=r"(names|plays)\.txt is empty, .*`git checkout data`"):
        load()


@BOTH
def test_a_file_of_yours_that_is_missing_is_named_with_the_folder_it_was_looked_for_in(
    tmp_path, monkeypatch, load
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as error:
        load(Path("mine.txt"))
    assert f"{tmp_path / 'mine.txt'} is missing. Is it the file that you mean?" in str(error.value)


@BOTH
def test_a_folder_is_not_taken_for_a_file(tmp_path, load):
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load(tmp_path)


@BOTH
@pytest.mark.parametrize("which", ["mine.txt", "Makemore", "", None, 3])
def test_a_file_given_as_a_string_is_refused_and_the_way_to_give_it_is_shown(saved, monkeypatch, load, which):
    monkeypatch.chdir(saved(b"zoe\n").parent)
    with pytest.raises(
        ValueError, match=r'no data set .*choose "bundled" or "(makemore|tinyshakespeare)".*Path\("mine'
    ):
        load(which)
