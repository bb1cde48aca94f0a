"""Wrong answers to the exercise of 00_start_here, and what the check must say of each."""

import math

WRONG = {
    "0.1": [
        (lambda p: math.log(p), "The sign"),
        (lambda p: -math.log2(p), "bits"),
        (lambda p: -math.log10(p), "base 10"),
        (lambda p: 1 - p, "never goes above 1"),
        (lambda p: 1 / p, "how rare"),
        (lambda p: print(-math.log(p)), "returned None. Is a `return` missing?"),
        (lambda p: f"{-math.log(p)}", "a str"),
    ],
}
