"""The checks of lesson 8: all that `check("8.1", ...)` to `check("8.14", ...)` need. They stand in the modules lesson8_*."""

from lessons_lib.exercises import (
    lesson8_attention,
    lesson8_cache,
    lesson8_tasks,
    lesson8_tokens,
    lesson8_trained,
)

_ALL = (
    lesson8_tokens.CHECKS
    | lesson8_attention.CHECKS
    | lesson8_tasks.CHECKS
    | lesson8_cache.CHECKS
    | lesson8_trained.CHECKS
)
CHECKS = {number: _ALL[number] for number in sorted(_ALL, key=lambda number: int(number.split(".")[1]))}
