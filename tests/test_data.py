"""Names and plays as they are loaded, spelled as numbers and split; on the lectures' data too, where it is at hand."""

import math
import os
import random
import string
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib import ngrams
from lessons_lib.data import DATA, Vocabulary, blocks, examples, load_names, load_text, split, windows
from lessons_lib.ladder import evaluate, unigram

settings.register_profile("course", database=None, deadline=None)
settings.load_profile("course")

NAMES = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=8))


def canonical(test):
    """For tests on the lectures' own data, which is not part of the course."""
    absent = not os.environ.get("LESSONS_DATA")
    return pytest.mark.canonical(pytest.mark.skipif(absent, reason="LESSONS_DATA is not set")(test))


# Loading.


def test_the_bundled_names_come_in_the_order_of_the_file():
    names = load_names()
    assert names[:3] == ["sara", "mina", "maria"]
    assert "\n".join([*names, ""]) == (DATA / "names.txt").read_text(encoding="utf-8")
    assert all(name and set(name) <= set(string.ascii_lowercase) for name in names)


def test_the_plays_come_whole_as_one_string():
    plays = load_text()
    assert plays.startswith("MARGET SPRAT:\nHerring!")
    assert plays.endswith("\n")
    assert len(plays) == 543_129


def test_the_data_is_found_from_any_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(load_names()) == 35_103


def test_reading_data_waits_neither_for_torch_nor_for_a_downloader():
    program = "import sys; import lessons_lib.data; sys.exit(bool({'torch', 'pooch', 'requests'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("load", [load_names, load_text])
def test_an_unknown_data_set_is_refused_with_the_choices_named(load):
    lecture = "makemore" if load is load_names else "tinyshakespeare"
    with pytest.raises(ValueError, match=f'choose "bundled" or "{lecture}"'):
        load("shakespear")


def test_names_are_not_to_be_had_as_text_nor_text_as_names():
    with pytest.raises(ValueError, match="makemore"):
        load_names("tinyshakespeare")
    with pytest.raises(ValueError, match="tinyshakespeare"):
        load_text("makemore")


@canonical
def test_the_lectures_names_are_the_known_32033():
    names = load_names("makemore")
    assert (len(names), len(set(names)), names[0], max(map(len, names))) == (
        32_033,
        32_033 - 2_539,
        "emma",
        15,
    )


@canonical
def test_the_lectures_shakespeare_is_the_known_text():
    text = load_text("tinyshakespeare")
    assert (len(text), len(set(text))) == (1_115_394, 65)
    assert text.startswith("First Citizen:\nBefore we proceed any further")


# Vocabulary.


def test_the_names_have_27_characters_with_the_end_mark_first():
    vocabulary = Vocabulary(load_names())
    assert vocabulary.characters == "." + string.ascii_lowercase
    assert vocabulary.size == len(vocabulary) == 27
    assert vocabulary.encode("emma.") == [5, 13, 13, 1, 0]
    assert vocabulary.decode([5, 13, 13, 1, 0]) == "emma."


@given(st.lists(st.text(), min_size=1))
def test_encoding_and_decoding_give_every_text_back(texts):
    vocabulary = Vocabulary(texts, end=None)
    for text in texts:
        numbers = vocabulary.encode(text)
        assert all(0 <= number < vocabulary.size for number in numbers)
        assert vocabulary.decode(numbers) == text


@given(NAMES)
def test_the_numbers_do_not_depend_on_the_order_of_the_texts(names):
    assert (
        Vocabulary(names).characters
        == Vocabulary(names[::-1]).characters
        == "." + "".join(sorted(set("".join(names))))
    )


def test_running_text_has_a_full_stop_like_any_other_character():
    vocabulary = Vocabulary([load_text()], end=None)
    assert vocabulary.size == 62
    assert vocabulary.encode("\n")[0] == 0
    with pytest.raises(ValueError, match=r"end mark '\.' occurs inside"):
        Vocabulary([load_text()])


def test_decode_takes_the_numbers_of_a_tensor():
    assert Vocabulary(["abc"]).decode(torch.tensor([3, 1, 2])) == "cab"


def test_an_unknown_character_is_named_together_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'ë' is not among the 4 characters known here: '\.oyz'"):
        Vocabulary(["zoy"]).encode("zoë")


@pytest.mark.parametrize("number", [-1, 4])
def test_a_number_without_a_character_is_refused(number):
    with pytest.raises(ValueError, match=f"no character has the number {number}: they go from 0 to 3"):
        Vocabulary(["abc"]).decode([1, number])


def test_an_end_mark_of_two_characters_is_refused():
    with pytest.raises(ValueError, match="one character"):
        Vocabulary(["abc"], end="<>")


# Splitting.


@given(NAMES, st.integers(0, 5))
def test_the_parts_of_a_split_are_disjoint_and_together_complete(names, seed):
    given_names = list(names)
    parts = split(names, seed)
    assert names == given_names
    assert sorted(parts.train + parts.dev + parts.test) == sorted(set(names))
    assert len(parts.train) == math.floor(0.8 * len(set(names)) + 1e-9)


@given(NAMES, st.integers(0, 5))
def test_with_repeats_kept_nothing_is_lost_and_nothing_added(names, seed):
    given_names = list(names)
    train, dev, test = split(names, seed, distinct=False)
    assert names == given_names
    assert sorted(train + dev + test) == sorted(names)


def test_the_same_seed_gives_the_same_split_and_another_seed_another():
    names = load_names()
    assert split(names) == split(names, seed=42)
    assert split(names, seed=43).dev != split(names).dev


def test_the_split_of_the_bundled_names_is_the_one_all_lessons_share():
    train, dev, test = split(load_names())
    assert (train[0], dev[0], test[0]) == ("adeel", "ljosbra", "wiliama")


def test_splitting_leaves_the_global_random_numbers_alone():
    random.seed(7)
    expected = random.random()
    random.seed(7)
    split(load_names()[:100])
    assert random.random() == expected


@given(st.integers(0, 200))
def test_fractions_are_met_to_the_name_in_spite_of_rounding(tenths):
    names = [str(number) for number in range(10 * tenths)]
    assert [len(part) for part in split(names, fractions=(0.7, 0.1, 0.2))] == [7 * tenths, tenths, 2 * tenths]


@pytest.mark.parametrize(
    "fractions", [(0.8, 0.1, 0.2), (1.1, -0.2, 0.1), (0.8, 0.2), (float("nan"), 0.5, 0.5)]
)
def test_fractions_that_are_not_shares_of_a_whole_are_refused(fractions):
    with pytest.raises(ValueError, match="three shares that sum to 1"):
        split(["a", "b"], fractions=fractions)


# Examples.

FEW = Vocabulary([string.ascii_lowercase])


@given(NAMES, st.integers(0, 5))
def test_examples_are_every_character_and_those_before_it(names, context):
    X, Y = examples(names, context, FEW)
    expected = [
        (("." * context + name)[place : place + context], character)
        for name in names
        for place, character in enumerate(name + ".")
    ]
    assert [(FEW.decode(x), FEW.decode([y])) for x, y in zip(X, Y, strict=True)] == expected
    assert (X.shape, Y.shape) == ((len(expected), context), (len(expected),))
    assert (X.dtype, Y.dtype) == (torch.int64, torch.int64)
    assert X.is_contiguous()
    assert Y.is_contiguous()


def test_the_examples_of_a_name_written_out():
    X, Y = examples(["emma"], 3, FEW)
    assert [FEW.decode(x) for x in X] == ["...", "..e", ".em", "emm", "mma"]
    assert FEW.decode(Y) == "emma."


def test_without_context_only_the_characters_are_left():
    X, Y = examples(["ab", ""], 0, FEW)
    assert (tuple(X.shape), FEW.decode(Y)) == ((4, 0), "ab..")


def test_examples_that_cannot_be_made_are_refused():
    with pytest.raises(ValueError, match="0 characters or more, and this one is -1"):
        examples(["anna"], -1, FEW)
    with pytest.raises(ValueError, match="'Z' is not among"):
        examples(["Zoe"], 3, FEW)
    with pytest.raises(TypeError, match="one string, 'anna'"):
        examples("anna", 3, FEW)


def test_windows_are_the_same_function_under_both_names():
    assert ngrams.windows is windows


@canonical
def test_the_lectures_names_give_its_number_of_examples():
    parts = split(load_names("makemore"), distinct=False)
    X, Y = examples(parts.train, 3, FEW)
    assert (tuple(X.shape), tuple(Y.shape)) == ((182_625, 3), (182_625,))
    assert [len(examples(part, 8, FEW)[1]) for part in parts] == [182_625, 22_655, 22_866]


@canonical
def test_the_split_of_the_lectures_comes_out_exactly():
    words = load_names("makemore")
    parts = split(words, distinct=False)
    assert [sum(len(name) + 1 for name in part) for part in parts] == [182_625, 22_655, 22_866]
    random.seed(42)
    random.shuffle(words)
    first, second = int(0.8 * len(words)), int(0.9 * len(words))
    assert parts == (words[:first], words[first:second], words[second:])


@canonical
def test_in_the_lectures_split_424_dev_names_were_already_learned_and_in_ours_none():
    words = load_names("makemore")
    leaky, clean = split(words, distinct=False), split(words)
    learned = set(leaky.train)
    assert sum(name in learned for name in leaky.dev) == 424
    assert len(set(clean.train) | set(clean.dev) | set(clean.test)) == sum(map(len, clean)) == len(set(words))


@canonical
def test_letter_frequencies_cost_what_is_known_on_the_lectures_names():
    words = load_names("makemore")
    assert evaluate(unigram(words), words) == pytest.approx(2.822726, abs=1e-6)


# Blocks of a text.


@given(st.integers(1, 9), st.integers(1, 12), st.integers(0, 30))
def test_rows_are_cut_from_the_text_and_the_answers_stand_one_further(block, stride, more):
    numbers = torch.arange(100, 101 + block + more)  # each number says where it stood
    X, Y = blocks(numbers, block, stride)
    starts = [place for place in range(0, len(numbers), stride) if place + block + 1 <= len(numbers)]
    assert X.tolist() == [list(range(100 + start, 100 + start + block)) for start in starts]
    assert Y.tolist() == [[number + 1 for number in row] for row in X.tolist()]
    assert X.dtype == Y.dtype == torch.int64
    assert X.is_contiguous()
    assert Y.is_contiguous()


def test_without_a_stride_each_number_is_read_once_and_the_text_is_left_alone():
    numbers = torch.arange(11)
    X, Y = blocks(numbers, 5)
    assert X.tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9]]
    assert Y.tolist() == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert len(blocks(numbers[:10], 5)[0]) == 1  # the answer to the tenth is missing
    X.zero_()
    assert numbers.tolist() == list(range(11))


@pytest.mark.parametrize("length", [0, 1, 4, 5])
def test_a_text_too_short_for_a_row_is_refused_with_what_it_needs(length):
    with pytest.raises(ValueError, match=f"need 6 tokens, and the text has {length}"):
        blocks(torch.arange(length), 5)
    assert blocks(torch.arange(6), 5)[0].shape == (1, 5)


@pytest.mark.parametrize(("block", "stride"), [(0, 1), (-2, 1), (3, 0), (3, -1)])
def test_blocks_and_strides_below_1_are_refused(block, stride):
    with pytest.raises(ValueError, match=f"1 or more, and they are {block} and {stride}"):
        blocks(torch.arange(20), block, stride)
