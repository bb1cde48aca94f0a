"""The checks of lesson 8 take every right answer, however it is written, and know what is right by another way than the answer's."""

import math
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lessons_lib.data import load_names, load_text, split
from lessons_lib.exercises import (
    judge,
    lesson8,
    lesson8_attention,
    lesson8_mistakes,
    lesson8_tasks,
    lesson8_tokens,
    lesson8_trained,
)
from lessons_lib.tokenizers import BPE, SPLIT
from lessons_lib.transformer import GPT, token_loss

pytestmark = pytest.mark.usefixtures("one_thread")


# Right answers, written in other ways than the lesson's.


def by_a_stack(parts, piece):
    out, fresh = [], False  # fresh: the newest of `out` was merged a moment ago
    for part in parts:
        if out and not fresh and out[-1] + part == piece:
            out[-1], fresh = piece, True
        else:
            out.append(part)
            fresh = False
    return out


def by_a_marked_text(words, size):
    """Pieces as private characters, counted by a regular expression that lets pairs overlap."""
    bag = {"".join(chr(0xE000 + value) for value in word): times for word, times in words.items()}
    spelled = {chr(0xE000 + value): bytes([value]) for value in range(256)}
    pieces = []
    while 256 + len(pieces) < size:
        found = Counter()
        for word, times in bag.items():
            for pair in re.findall("(?=(..))", word):
                found[pair] += times
        if not found or max(found.values()) < 2:
            break
        pair = min(found, key=lambda pair: (-found[pair], spelled[pair[0]] + spelled[pair[1]]))
        new = chr(0xE000 + 256 + len(pieces))
        spelled[new] = spelled[pair[0]] + spelled[pair[1]]
        pieces.append(spelled[new])
        bag = {word.replace(pair, new): times for word, times in bag.items()}
    return pieces


def piece_by_piece(chunk, pieces):
    parts = [bytes([value]) for value in chunk]
    for piece in pieces:
        parts = by_a_stack(parts, piece)
    table = [bytes([value]) for value in range(256)] + pieces
    return [table.index(part) for part in parts]


def leftmost_earliest(chunk, pieces):
    """One merge at a time."""
    parts = [bytes([value]) for value in chunk]
    while True:
        found = [(pieces.index(a + b), i) for i, (a, b) in enumerate(pairwise(parts)) if a + b in pieces]
        if not found:
            return [part[0] if len(part) == 1 else 256 + pieces.index(part) for part in parts]
        _, i = min(found)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]


def as_an_array(numbers, pieces):
    out = bytearray()
    for number in numbers:
        out += pieces[number - 256] if number >= 256 else number.to_bytes()
    return str(out, "utf-8", "replace")


def by_a_loop(x):
    out = torch.zeros_like(x)
    for t in range(x.shape[1]):
        out[:, t] = x[:, : t + 1].mean(1)
    return out


def by_cumsum(x):
    return x.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype).view(-1, 1)


def by_softmax(x):
    T = x.shape[1]
    return torch.full((T, T), -math.inf, dtype=x.dtype).triu(1).softmax(1) @ x


def by_numbers_taken_off(scores):
    T = scores.shape[-1]
    seen = torch.ones(T, T, dtype=torch.bool).tril()
    top = scores.masked_fill(~seen, -math.inf).amax(-1, keepdim=True)
    weights = torch.where(seen, (scores - top).clamp(max=0).exp(), 0)
    return weights / weights.sum(-1, keepdim=True)


def by_adding(scores):
    return (scores + torch.full_like(scores, -math.inf).triu(1)).softmax(-1)


def by_torch(q, k, v):
    return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def by_einsum(q, k, v):
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) / q.shape[-1] ** 0.5
    scores = scores - torch.ones_like(scores).triu(1) * 1e9
    return torch.einsum("bhqk,bhkd->bhqd", scores.softmax(-1), v)


def torchs_module(x, weight, out, heads):
    module = nn.MultiheadAttention(x.shape[2], heads, bias=False, batch_first=True, dtype=x.dtype)
    module.load_state_dict({"in_proj_weight": weight, "out_proj.weight": out})
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    return module(x, x, x, attn_mask=mask, need_weights=False)[0]


def head_after_head(x, weight, out, heads):
    heard = []
    for q, k, v in zip(*((x @ part.T).chunk(heads, 2) for part in weight.chunk(3)), strict=True):
        heard.append(by_torch(*(one.unsqueeze(1) for one in (q, k, v))).squeeze(1))
    return F.linear(torch.cat(heard, 2), out)


def by_beginnings(model, tokens):
    """Read alone, a beginning must give what it gives with more behind it."""
    whole = model(tokens)
    return any(
        not torch.allclose(model(tokens[:, :t]), whole[:, :t], atol=1e-8) for t in range(1, tokens.shape[1])
    )


def all_that_follow(model, tokens):
    for t in range(1, tokens.shape[1]):
        other = torch.cat([tokens[:, :t], (tokens[:, t:] + 2) % model.size], 1)
        if (model(other) != model(tokens))[:, :t].any():
            return np.bool_(True)
    return np.bool_(False)


def by_sorting(logits, k):
    edge = logits.sort(-1).values[..., max(logits.shape[-1] - k, 0)]
    return logits.where(logits >= edge[..., None], torch.tensor(-math.inf, dtype=logits.dtype))


def by_kthvalue(logits, k):
    if k >= logits.shape[-1]:
        return logits
    out = logits.clone()
    out[logits < logits.kthvalue(logits.shape[-1] - k + 1, dim=-1, keepdim=True).values] = -math.inf
    return out


def with_a_list(q, k, v, cache):
    K, V = ([], []) if cache is None else cache
    K, V = torch.cat([*([K] if len(K) else []), k], 2), torch.cat([*([V] if len(V) else []), v], 2)
    return [F.scaled_dot_product_attention(q, K, V), [K, V]]


def sign_by_sign(a, b, digits):
    numbers = [a // 10**place % 10 for place in reversed(range(digits))] + [10]
    numbers += [b // 10**place % 10 for place in reversed(range(digits))] + [11]
    asked = len(numbers)
    numbers += [(a + b) // 10**place % 10 for place in range(digits + 1)]
    return torch.tensor(numbers[:-1]), torch.tensor([-100] * (asked - 1) + numbers[asked:])


@pytest.mark.parametrize(
    ("number", "answer"),
    [
        ("8.1", by_a_stack),
        ("8.2", by_a_marked_text),
        ("8.3", piece_by_piece),
        ("8.3", leftmost_earliest),
        ("8.4", as_an_array),
        ("8.5", by_a_loop),
        ("8.5", by_cumsum),
        ("8.5", by_softmax),
        ("8.6", by_numbers_taken_off),
        ("8.6", by_adding),
        ("8.7", by_torch),
        ("8.7", by_einsum),
        ("8.8", torchs_module),
        ("8.8", head_after_head),
        ("8.9", by_beginnings),
        ("8.9", all_that_follow),
        ("8.10", by_sorting),
        ("8.10", by_kthvalue),
        ("8.11", with_a_list),
        ("8.12", sign_by_sign),
        ("8.13", lambda pairs: lambda a, b: a + b),
    ],
)
def test_a_right_answer_passes_however_it_is_written(number, answer):
    verdict = judge(number, answer)
    assert verdict.status == "right", verdict.message


# What the checks hold to be right.


def test_the_pieces_that_are_wanted_are_those_that_the_library_learns():
    text = load_text()[:20_000]
    words = Counter(chunk.encode() for chunk in re.findall(SPLIT, text))
    assert lesson8_mistakes.learned(words, 300) == BPE.train(text, 300).pieces
    for words, size in lesson8_tokens.WORDS[-2:]:
        text = "".join((word.decode() + "\0") * times for word, times in words.items())
        chunks = Counter(chunk.encode() for chunk in re.findall(SPLIT, text) if chunk != "\0")
        assert lesson8_mistakes.learned(chunks, size) == BPE.train(text, size).pieces


def test_what_is_wanted_of_encode_and_decode_is_what_the_library_does():
    for chunk, pieces in lesson8_tokens.CHUNKS:
        tokenizer = BPE(pieces)
        parts = tokenizer._merged(
            [bytes([value]) for value in chunk]
        )  # of one chunk, wherever SPLIT would cut
        assert lesson8_mistakes.encoded(chunk, pieces) == [tokenizer._number[part] for part in parts]
    for numbers, pieces in lesson8_tokens.NUMBERS:
        assert lesson8_mistakes.decoded(numbers, pieces) == BPE(pieces).decode(numbers)


@pytest.mark.parametrize(
    ("rules", "right", "problems"),
    [
        (lesson8_mistakes.OF_MERGE, lesson8_mistakes.merged, lesson8_tokens.MERGES),
        (lesson8_mistakes.OF_LEARN, lesson8_mistakes.learned, lesson8_tokens.WORDS),
        (lesson8_mistakes.OF_ENCODE, lesson8_mistakes.encoded, lesson8_tokens.CHUNKS),
        (lesson8_mistakes.OF_DECODE, lesson8_mistakes.decoded, lesson8_tokens.NUMBERS),
        (lesson8_tasks.OF_LEAKS, lesson8_tasks.leaky, [case for case, _ in lesson8_tasks.suspects()]),
        (
            lesson8_tasks.OF_SUMS,
            lambda *problem: lesson8_tasks.as_lists(lesson8_tasks.as_example(*problem)),
            lesson8_tasks.SUMS,
        ),
        (lesson8_trained.OF_ADDERS, lambda a, b: a + b, lesson8_trained.sums()[1]),
    ],
    ids=["merge", "learn", "encode", "decode", "leaks", "sums", "adders"],
)
def test_every_mistaken_rule_is_found_out_and_called_by_its_name(rules, right, problems):
    """Otherwise the check would call it right, or take it for another."""
    wanted = lesson8_tokens.outcomes(right, problems)
    seen = [lesson8_tokens.outcomes(rule, problems) for rule, _ in rules]
    for place, (outcome, (_, name)) in enumerate(zip(seen, rules, strict=True)):
        assert outcome != wanted, name
        assert seen.index(outcome) == place or name == rules[seen.index(outcome)][1], name


def test_every_model_of_the_leak_test_is_what_it_is_said_to_be():
    for (model, tokens), leak in lesson8_tasks.suspects():
        vectors = torch.randn(
            *tokens.shape, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
        )
        if isinstance(model, GPT):
            continue
        vectors.requires_grad_()
        found = False
        for place in range(tokens.shape[1]):
            mixed = model.mix(vectors)[:, place].sum()
            (grad,) = torch.autograd.grad(mixed, vectors, allow_unused=True)
            found |= bool(grad[:, place + 1 :].any())
        assert found == leak, model.what


def test_attention_in_the_checks_is_torchs():
    q, k, v = (lesson8_attention.normal(2, 3, 5, 4, seed=seed) for seed in range(3))
    torch.testing.assert_close(lesson8_attention.place_by_place(q, k, v), by_torch(q, k, v))
    torch.testing.assert_close(lesson8_attention.seen_by(q, k, v), by_torch(q, k, v))
    x, weight, out = (lesson8_attention.normal(*shape, seed=9) for shape in ((2, 5, 6), (18, 6), (6, 6)))
    ours = lesson8_attention.one_by_one(x, weight, out, 3)
    torch.testing.assert_close(ours, torchs_module(x, weight, out, 3))
    torch.testing.assert_close(ours, lesson8_attention.several(x, weight, out, 3))


def test_half_precision_is_told_by_its_name_and_an_unwanted_nan_is_explained():
    message = judge("8.5", lambda x: by_cumsum(x).float()).message
    assert "float32; a tensor of float64 was expected" in message
    message = judge("8.7", lambda q, k, v: by_torch(q, k, v) * math.nan).message
    assert "There is nan in it" in message


# Exercise 8.13, without training anything.


def test_no_sum_that_is_asked_about_was_shown():
    shown, asked = lesson8_trained.sums()
    assert (len(set(shown)), len(set(asked))) == (2000, 200)
    assert not set(shown) & set(asked)
    assert all(0 <= number < 100 for pair in shown + asked for number in pair)


@pytest.mark.parametrize(("wrong", "status"), [(10, "right"), (11, "not yet right")])
def test_nineteen_of_twenty_are_enough(wrong, status):
    asked = lesson8_trained.sums()[1]
    missed = set(asked[:wrong])

    def adder(pairs):
        return lambda a, b: a + b + 2 * ((a, b) in missed)

    verdict = judge("8.13", adder)
    assert verdict.status == status
    assert f"{200 - wrong} of 200" in verdict.message


# Exercise 8.14, without training anything.


@pytest.fixture
def network(monkeypatch):
    """An untrained GPT, and a check that asks little of it."""
    monkeypatch.setattr(lesson8_trained, "BELOW", 5.0)
    torch.manual_seed(0)
    return GPT(lesson8_trained.languages()[3].size, block=32, width=8, heads=2, layers=1)


def test_a_network_below_the_limit_is_right_and_told_its_three_losses(network):
    verdict = judge("8.14", lambda plays, names: network.eval())
    assert verdict.status == "right", verdict.message
    assert re.match(
        r"right\. (\d\.\d{3}) on names that it was not given, \d\.\d{3} on the 300", verdict.message
    )


def test_the_loss_of_the_check_is_the_mean_over_every_letter_and_line_end(network):
    _, _, dev, vocabulary = lesson8_trained.languages()
    said = float(re.search(r"[\d.]+(?= on names)", judge("8.14", lambda plays, names: network).message)[0])
    losses, letters = 0.0, 0
    with torch.no_grad():
        for name in dev:
            numbers = torch.tensor([vocabulary.encode(f"\n{name}\n")])
            losses += float(token_loss(network(numbers[:, :-1]), numbers[:, 1:])) * (len(name) + 1)
            letters += len(name) + 1
    assert said == pytest.approx(losses / letters, abs=6e-4)


def test_the_names_to_judge_by_are_not_among_those_to_tune_on():
    _, names, dev, vocabulary = lesson8_trained.languages()
    everything = split(load_names())
    assert (names, dev) == (everything.train[:300], everything.dev[:500])
    assert not set(names) & set(dev)
    assert set("".join(names + dev)) | {"\n"} <= set(vocabulary.characters)
    assert max(map(len, names + dev)) < 31  # with a line end before it a name fits in a block of 32


def test_all_fourteen_are_listed():
    assert list(lesson8.CHECKS) == [f"8.{place}" for place in range(1, 15)]
