"""The checks of lesson 6: all that `check("6.1", ...)` to `check("6.19", ...)` need. They stand in the modules lesson6_*.

Every gradient is judged on several problems against autograd in float64, by relative error (`lesson6_ruler`). What comes back is any
tensor of its shape, not only what the lesson's loss sends: a rule has to hold whatever lies above it.
"""

from lessons_lib.exercises import lesson6_forms, lesson6_layers, lesson6_loss, lesson6_norm, lesson6_work

MISTAKES = lesson6_loss.MISTAKES | lesson6_layers.MISTAKES | lesson6_norm.MISTAKES | lesson6_forms.MISTAKES
CHECKS = (
    lesson6_loss.CHECKS
    | lesson6_layers.CHECKS
    | lesson6_norm.CHECKS
    | lesson6_forms.CHECKS
    | lesson6_work.CHECKS
)
