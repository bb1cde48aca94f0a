"""The check of 00_start_here, where a learner meets the checks."""

import math

from lessons_lib.exercises.engine import call, expect_number, show_call


def surprise(answer):
    """0.1: surprise(p), the negative logarithm of a probability."""
    for p in (0.5, 1 / 27, 1e-9, 1.0):
        mistakes = {
            math.log(p): "The sign is wrong: surprise is the negative of the logarithm.",
            -math.log2(p): "That is in bits; nats use the natural logarithm, math.log.",
            -math.log10(p): "That uses the logarithm to base 10; nats use the natural one, math.log.",
            1 - p: "That falls with p too, but it never goes above 1. Take the logarithm.",
            1 / p: "That is how rare it was; the surprise is its logarithm.",
        }
        expect_number(call(answer, p), math.log(1 / p), show_call(answer, p), mistakes)
    return "Every model of this course is scored by it."


CHECKS = {"0.1": surprise}
