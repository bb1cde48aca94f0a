"""The check of lesson 8 about the key-value cache, 8.11: one new place, and all before it out of the cache."""

import math

import torch
from torch import Tensor

from lessons_lib.exercises.engine import NotYet, call, show_call
from lessons_lib.exercises.expect import brief
from lessons_lib.exercises.lesson8_attention import expect, normal, place_by_place, seen_by


def cached_attend(answer):
    """8.11: cached_attend(q, k, v, cache), one new place, and all before it out of the cache."""
    for B, H, T, D, dtype in (
        (1, 1, 3, 2, torch.float64),
        (2, 3, 5, 4, torch.float64),
        (2, 2, 6, 3, torch.float32),
    ):
        q, k, v = (normal(B, H, T, D, seed=D + place, dtype=dtype) for place in range(3))
        whole = place_by_place(q, k, v)
        for start in (2, 0):
            cache = (k[:, :, :start], v[:, :, :start]) if start else None
            for t in range(start, T):
                now = slice(t, t + 1)
                given = q[:, :, now], k[:, :, now], v[:, :, now], cache
                cache = one_more(answer, given, (k[:, :, : t + 1], v[:, :, : t + 1]), whole[:, :, now])
    return "What has been read stays read: a new token costs one row of the table, where it used to cost the table."


def one_more(answer, given, pasts, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The cache that the answer returns, found right, and so is what it heard."""
    q, k, v, cache = given
    B, H, length, D = pasts[0].shape
    what = "None" if cache is None else f"(K, V) of {length - 1} places"
    seen = f"{answer.__name__}(q, k, v, cache), each of shape {(B, H, 1, D)} and the cache {what},"
    try:
        got = call(answer, *given)
    except NotYet as told:
        raise NotYet(str(told).replace(show_call(answer, *given), seen.rstrip(","))) from told.__cause__
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise NotYet(
            f"{seen} returned {brief(got)}; two things were expected, what is heard and the new cache."
        )
    heard, new = got
    before = (k[:, :, :0], v[:, :, :0]) if cache is None else cache
    scale = math.sqrt(D)
    mistakes = [
        (seen_by(q, pasts[0], pasts[1], 1, mask=False), "The products are not scaled: divide by the square root of the head size."),
        (seen_by(q, pasts[0], pasts[1], D, mask=False), "You divided by the head size; its square root is meant."),
        (seen_by(q, pasts[0], pasts[1], math.sqrt(length), mask=False), "You scaled by the number of places; what the products sum over is D."),
        (v, "Only the newest place was looked at: the past is in the cache."),
        (pasts[1][:, :, :1], "A mask of one row lets the newest place see only the oldest. It may see all: no mask is needed."),
        (seen_by(q, pasts[1], pasts[0], scale, mask=False), "Keys and values have changed places."),
        (seen_by(q, pasts[0], pasts[1], scale, mask=False).expand(B, H, length, D), "One place is new, and one place was asked for."),
    ]  # fmt: skip
    if length > 1:
        mistakes.append(
            (
                seen_by(q, *before, scale, mask=False),
                "The newest place does not see itself: extend the cache first, and then look.",
            )
        )
        mixed = before[0], torch.cat([before[1][:, :, 1:], v], 2)
        mistakes.append((seen_by(q, *mixed, scale, mask=False), "The cache has lost its oldest place."))
    expect(heard, wanted, f"{seen} first", mistakes, q.dtype)
    if not isinstance(new, tuple | list) or len(new) != 2:
        raise NotYet(
            f"{seen} returned as the new cache {brief(new)}; a pair was expected, all keys and all values."
        )
    for name, got, past, old, newest, other in zip(
        ("keys", "values"), new, pasts, before, (k, v), (pasts[1], pasts[0]), strict=True
    ):
        wrong = [
            (other, "Keys and values have changed places in the new cache."),
            (old, "The cache was not extended: the newest place is missing from it."),
            (newest, "Only the newest place is in it; the past got lost."),
            (torch.cat([newest, old], 2), "The newest place stands in front; the order is that of time."),
            (torch.cat([old, q], 2), "Queries went into the cache; nobody will ask for them again."),
        ]
        expect(got, past, f"{seen} has among the new {name}", wrong, q.dtype)
    return tuple(new)


CHECKS = {"8.11": cached_attend}
