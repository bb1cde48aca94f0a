"""The tokenizer reads back what it wrote, learns what a slow and obvious program learns, and agrees with tiktoken on every text."""

import io
import os
import random
import re
import time
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lessons_lib.data import load_text
from lessons_lib.tokenizers import BPE, SPLIT

settings.register_profile("course", database=None, deadline=None)
settings.load_profile("course")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
SMALL = st.text(st.sampled_from("aab \nbé-"), max_size=40)  # so few characters that neighbours repeat
PLAYS = load_text()
LEARNED = BPE.train(PLAYS[:100_000], 400)


# Slow and obvious: the whole text is counted anew each time, and nothing is remembered.


def merged(parts, piece):
    parts, done = list(parts), []
    while parts:
        if len(parts) > 1 and parts[0] + parts[1] == piece:
            done.append(parts.pop(0) + parts.pop(0))
        else:
            done.append(parts.pop(0))
    return done


def single(text):
    return [bytes([value]) for value in text.encode("utf-8")]


def slowly_learned(text, size):
    chunks, pieces = [single(chunk) for chunk in re.findall(SPLIT, text)], []
    while 256 + len(pieces) < size:
        counts = Counter(a + b for chunk in chunks for a, b in pairwise(chunk))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        pieces.append(best)
        chunks = [merged(chunk, best) for chunk in chunks]
    return pieces, [part for chunk in chunks for part in chunk]


def slowly_encoded(text, pieces):
    parts_of_all = []
    for chunk in re.findall(SPLIT, text):
        parts = single(chunk)
        while True:
            spelled = {a + b for a, b in pairwise(parts)}
            known = [piece for piece in pieces if piece in spelled]
            if not known:
                break
            parts = merged(parts, known[0])
        parts_of_all += parts
    return [256 + pieces.index(part) if len(part) > 1 else part[0] for part in parts_of_all]


# Chunks.


@given(TEXT | SMALL)
def test_chunks_joined_are_the_text(text):
    assert "".join(re.findall(SPLIT, text)) == text


def test_a_chunk_is_a_word_with_the_space_before_it_or_white_space_or_the_rest():
    chunks = re.findall(SPLIT, "Oh  no, it's 3 o'clock.\n\n MARGET")
    assert chunks == [
        *("Oh", "  ", "no", ",", " it", "'", "s", " ", "3", " o", "'", "clock", "."),
        *("\n\n ", "MARGET"),
    ]


# There and back.


@given(TEXT)
def test_any_text_is_read_back_as_it_was_written(text):
    numbers = LEARNED.encode(text)
    assert LEARNED.decode(numbers) == text
    assert all(0 <= number < LEARNED.size for number in numbers)
    assert b"".join(map(LEARNED.bytes_of, numbers)) == text.encode("utf-8")


@given(TEXT | SMALL)
def test_a_text_learned_from_is_read_back_too(text):
    bpe = BPE.train(text, 280)
    assert bpe.decode(bpe.encode(text)) == text


def test_the_empty_text_has_no_tokens():
    assert LEARNED.encode("") == []
    assert LEARNED.decode([]) == ""
    assert BPE.train("", 300).pieces == []
    assert BPE([]).encode("é") == [0xC3, 0xA9]


@pytest.mark.parametrize("half", ["\ud83d", "\ude00", "\udfff"], ids=["high", "low", "last"])  # noqa: PT014, ruff sees all three as one
@pytest.mark.parametrize("where", ["{}", "to be {} or not", "é{}"])
def test_half_a_character_is_refused_by_name(half, where):
    for refuse in (LEARNED.encode, lambda text: BPE.train(text, 300)):
        with pytest.raises(
            ValueError, match=r"'\\ud[0-9a-f]{3}' is half of a character .* lone surrogate"
        ) as error:
            refuse(where.format(half))
        assert repr(half) in str(error.value)


def test_what_was_refused_leaves_no_trace():
    bpe = BPE.train("aa aa", 300)
    with pytest.raises(ValueError, match="surrogate"):
        bpe.encode("aa \ud83d")
    assert bpe.encode("aa") == [256]


def test_an_answer_may_be_changed_without_changing_the_next():
    first = LEARNED.encode("herring")
    expected = list(first)
    first.append(0)
    assert LEARNED.encode("herring") == expected


def test_bytes_that_are_no_text_become_the_sign_for_it():
    assert LEARNED.decode([0xC3]) == "�"
    assert LEARNED.decode([ord("a"), 0xFF, ord("b")]) == "a�b"
    assert LEARNED.decode([0xC3, 0xA9]) == "é"  # two tokens, one character


@pytest.mark.parametrize("number", [-1, -256, 400, 10**9])
def test_a_number_that_no_token_has_is_refused(number):
    assert LEARNED.size == 400
    for refuse in (LEARNED.bytes_of, lambda number: LEARNED.decode([65, number])):
        with pytest.raises(ValueError, match=f"no token has the number {number}: they go from 0 to 399"):
            refuse(number)


def test_the_first_256_tokens_are_the_bytes_and_the_rest_the_pieces_in_order():
    assert [LEARNED.bytes_of(number) for number in range(256)] == [bytes([value]) for value in range(256)]
    assert [LEARNED.bytes_of(256 + place) for place in range(144)] == LEARNED.pieces


@pytest.mark.parametrize("pieces", [[b"ab", b"ab"], [b"a"], [b""], [b"ab", b"cd", b"ab"]])
def test_pieces_that_are_none_or_come_twice_are_refused(pieces):
    with pytest.raises(ValueError, match="two bytes or longer, and occur once"):
        BPE(pieces)


# Learning.


@given(SMALL, st.integers(256, 275))
def test_it_learns_what_the_slow_program_learns(text, size):
    pieces, parts = slowly_learned(text, size)
    bpe = BPE.train(text, size)
    assert bpe.pieces == pieces
    assert [bpe.bytes_of(number) for number in bpe.encode(text)] == parts


def test_on_ten_thousand_characters_of_the_plays_too():
    text = PLAYS[200_000:210_000]
    pieces, parts = slowly_learned(text, 340)
    bpe = BPE.train(text, 340)
    assert bpe.pieces == pieces
    assert [bpe.bytes_of(number) for number in bpe.encode(text)] == parts


@given(st.text(st.sampled_from("ab"), max_size=60), st.integers(256, 300))
def test_no_piece_is_learned_twice_and_each_is_encoded_as_itself(text, size):
    pieces = BPE.train(text, size).pieces
    assert len(set(pieces)) == len(pieces)
    for number, piece in enumerate(pieces):
        assert BPE(pieces).encode(piece.decode()) == [256 + number]


@pytest.mark.parametrize(
    ("text", "size", "pieces"),
    [
        ("ab ab", 300, [b"ab"]),  # " ab" is one chunk, "ab" another; only ab occurs twice
        ("ba\nba\nab\nab", 257, [b"ab"]),  # ba and ab twice each: the smaller bytes
        ("aaa", 300, [b"aa"]),  # two neighbours, and one of them is used up by the merge
        ("aaaa aaaa", 258, [b"aa", b"aaaa"]),
        ("aXa aXa", 300, [b"Xa", b"aXa"]),
        ("ab\nab\nab", 300, [b"ab"]),  # nothing is learned across chunks
        ("abc", 300, []),
        ("ab", 256, []),
        ("éé", 300, [b"\xc3\xa9"]),
    ],
)
def test_small_texts_that_can_be_learned_by_hand(text, size, pieces):
    assert BPE.train(text, size).pieces == pieces


def test_neighbours_are_counted_by_what_they_spell():
    # Once ab and bc are pieces, abc is spelled as ab+c and as a+bc; learning is by the word and not by the way.
    text = "abc " * 3 + "ab " * 5 + "bc " * 4
    assert BPE.train(text, 300).pieces == slowly_learned(text, 300)[0]


def test_it_ends_early_where_no_neighbours_occur_twice():
    bpe = BPE.train("to be or not to be", 5000)
    assert 256 < bpe.size < 270
    assert bpe.size == 256 + len(bpe.pieces)


@pytest.mark.parametrize("size", [255, 0, -1])
def test_a_size_below_the_bytes_is_refused(size):
    with pytest.raises(ValueError, match=f"256 tokens, and the size is {size}"):
        BPE.train("abc", size)


@given(SMALL, SMALL)
def test_it_encodes_as_the_slow_program_does_also_what_it_has_not_learned_from(learned, text):
    pieces = BPE.train(learned, 270).pieces
    assert BPE(pieces).encode(text) == slowly_encoded(text, pieces)


def test_a_longer_vocabulary_begins_with_the_shorter():
    assert BPE.train(PLAYS[:100_000], 300).pieces == LEARNED.pieces[:44]


def megabyte():
    return load_text("tinyshakespeare") if os.environ.get("LESSONS_DATA") else PLAYS * 2


def test_a_megabyte_is_learned_to_512_tokens_in_five_seconds():
    text = megabyte()
    assert len(text) > 1_000_000
    begin = time.process_time()
    bpe = BPE.train(text, 512)
    seconds = time.process_time() - begin
    assert bpe.size == 512
    assert len(bpe.encode(text)) < 0.7 * len(text)
    assert seconds < 5


# tiktoken.


def strings(count, seed):
    """Different ones: what people write, what machines write, and what only testers write."""
    generator = random.Random(seed)
    signs = [chr(number) for number in range(1, 128)]
    anything = [chr(number) for number in range(1, 0x11000) if not 0xD800 <= number < 0xE000]
    found = {}
    while len(found) < count:
        length = generator.choice([2, 5, 10, 30, 150])
        place = generator.randrange(len(PLAYS) - length)
        played = PLAYS[place : place + length]
        found |= dict.fromkeys(
            [
                "".join(generator.choices(signs, k=length)),
                "".join(generator.choices(anything, k=length)),
                "".join(generator.choices("the TH'é\n -", k=length)),
                "".join(c if generator.random() < 0.8 else generator.choice(anything) for c in played),
                played,
                generator.choice(signs + anything) * generator.randrange(600),
            ]
        )
    return list(found)[:count]


def test_tiktoken_gives_the_same_numbers_for_a_thousand_strings():
    theirs, texts = LEARNED.tiktoken(), strings(1000, seed=8)
    assert len(set(texts)) == 1000
    different = [text for text in texts if theirs.encode(text) != LEARNED.encode(text)]
    assert different == []
    assert any(number > 255 for text in texts for number in LEARNED.encode(text))


THEIRS = LEARNED.tiktoken()


@given(TEXT | SMALL | st.integers(0, 500_000).map(lambda place: PLAYS[place : place + 80]))
def test_tiktoken_gives_the_same_numbers_for_any_text(text):
    assert THEIRS.encode(text) == LEARNED.encode(text)


@given(SMALL, SMALL)
def test_and_whatever_was_learned(learned, text):
    bpe = BPE.train(learned, 275)
    theirs = bpe.tiktoken()
    assert theirs.n_vocab == bpe.size
    assert theirs.encode(text) == bpe.encode(text)
    assert theirs.encode(learned) == bpe.encode(learned)


@pytest.mark.parametrize("run", ["a", "ab", "é", "!", " ", "\n", "e "])
def test_long_runs_are_no_different(run):
    bpe = BPE.train(run * 3000 + PLAYS[:5000], 300)
    for length in (99, 100, 101, 499, 500, 1000, 20_001):
        text = (run * length)[:length]
        assert bpe.tiktoken().encode(text) == bpe.encode(text)


def test_all_of_the_plays_are_the_same_numbers_and_come_back():
    numbers = LEARNED.encode(PLAYS)
    assert numbers == LEARNED.tiktoken().encode(PLAYS)
    assert LEARNED.decode(numbers) == LEARNED.tiktoken().decode(numbers) == PLAYS


def test_tiktoken_fetches_nothing(monkeypatch):
    import socket

    def refuse(*arguments, **named):
        raise AssertionError("something wanted the network")

    monkeypatch.setattr(socket, "socket", refuse)
    assert LEARNED.tiktoken().encode("herring") == LEARNED.encode("herring")


# sentencepiece, which cuts by rules of its own.


def test_sentencepiece_learns_from_the_same_text_and_reads_it_back():
    import sentencepiece

    learned = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(PLAYS[:100_000].split("\n")),
        model_writer=learned,
        model_type="bpe",
        vocab_size=400,
        byte_fallback=True,
        character_coverage=1.0,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
        minloglevel=2,
    )
    theirs = sentencepiece.SentencePieceProcessor(model_proto=learned.getvalue())
    assert theirs.get_piece_size() == 400
    for text in (PLAYS[300_000:305_000], "", "two  spaces, Ünïcode 語 and 🙂\n"):
        assert theirs.decode(theirs.encode(text)) == text
    assert len(theirs.encode(PLAYS[:5000])) < 0.7 * 5000
