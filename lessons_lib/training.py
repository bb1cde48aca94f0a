"""What every training run begins with. From lesson 4 on this module also holds minibatches, the loop and schedules."""

import gc
import os

import torch

__all__ = ["setup"]


def setup(threads: int = 1) -> None:
    """Fix how many threads torch uses. The first cell of every lesson calls this; calling it again is harmless.

    Two reasons. Torch splits a long sum among its threads, so their number decides in which order floats are added and with
    that the last digits of a result; with a fixed number a lesson prints the same on a laptop and on a server. And for
    matrices as small as ours, handing the work out costs more than doing it: one thread is usually the fastest.

    It also tells Python's garbage collector to look less often. A graph of Values is 200,000 small objects without a single
    reference cycle, and Python stops to look for cycles after every 700: training the network of lesson 1 took four times as
    long. What is imported by now is left out of the search altogether.

    The environment variable LESSONS_THREADS overrides the argument. Raises ValueError where either is not 1 or more.
    """
    wish, source = os.environ.get("LESSONS_THREADS"), "LESSONS_THREADS"
    if not wish:
        wish, source = threads, "threads"
    try:
        number = int(str(wish))  # by way of the text: int(1.5) would be 1
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f"{source} must be a whole number of threads, 1 or more, and it is {wish!r}")
    torch.set_num_threads(number)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
