"""What every training run begins with, and from lesson 4 on the run itself.

The lesson builds the loop in the open: a batch, its loss, the gradients, an update. What is added here is no mathematics but what
makes a run pleasant to live with: a progress bar, an interruption that loses nothing, checkpoints. Minibatches and losses are in
lessons_lib.batches, rates in lessons_lib.rates, and all of them can be imported from here.
"""

import copy
import gc
import math
import os
import time
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lessons_lib import checkpoint
from lessons_lib.batches import (
    check_examples,
    evaluating,
    mean_loss,
    minibatches,
    order_of_epoch,
    random_numbers,
    split_loss,
)
from lessons_lib.diverged import Diverged, diagnosis
from lessons_lib.interrupt import Interrupt
from lessons_lib.rates import RateSweep, find_rate, one_cycle, update

__all__ = [
    "Diverged",
    "History",
    "RateSweep",
    "Training",
    "evaluating",
    "find_rate",
    "minibatches",
    "one_cycle",
    "setup",
    "split_loss",
]

RECENT = 100  # steps over which the loss is averaged where one number is shown: that of a single batch jumps too much
REFRESH = 0.1  # seconds from one look of the progress bar to the next


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


class History(NamedTuple):
    """What a run has seen so far."""

    losses: list[float]
    """Of every step, on its own batch, before the update."""
    rates: list[float]
    """Of every step."""
    dev: list[tuple[int, float]]
    """(steps done, loss) at the end of every epoch."""

    def smooth(self, width: int) -> list[float]:
        """The mean loss of each block of `width` steps. What is left at the end and fills no block is not in it."""
        if width < 1:
            raise ValueError(f"a block has 1 step or more, and width is {width}")
        blocks = range(0, len(self.losses) - width + 1, width)
        return [math.fsum(self.losses[place : place + width]) / width for place in blocks]

    def recent(self) -> float:
        """The mean of the newest 100 losses, or of all where there are fewer; nan before the first."""
        newest = self.losses[-RECENT:]
        return math.fsum(newest) / len(newest) if newest else math.nan

    def __repr__(self) -> str:
        dev = f", dev {self.dev[-1][1]:.2f}" if self.dev else ""
        return f"History of {len(self.losses):,} steps: loss {self.recent():.2f}{dev}"


class Training:
    """A training run that can be watched, interrupted, taken up again and repeated.

    model, optimizer: yours, changed in place. The rate in the optimizer's groups is overwritten at every step.
    train, dev:       (X, Y), each (N, ...); loss(model(X), Y) is a single number, the mean over a batch. `dev` is measured at
                      the end of every epoch, in eval mode.
    epochs, batch:    N // batch steps an epoch; N % batch examples sit out, others each time. `steps` is their total number.
    rate:             a number, or a function of the step, 0 to steps - 1, such as `one_cycle(steps, peak)`.
    seed:             decides the order of the examples, epoch by epoch, and what dropout draws. The caller's own random numbers
                      are left alone.
    watch:            called with this object after every step; `step` counts the steps done.
    folder:           takes a checkpoint every `save_every` steps, at the end, and on interruption.
    writes, agree:    for several processes that train one model (lessons_lib.parallel). All read the folder; only where `writes` is
                      true is anything written in it. `agree` is asked after every step, with whether this process was interrupted,
                      and answers whether any was, so that all stop after the same one.

    Raises ValueError, naming the argument, where one makes no run.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        train: tuple[Tensor, Tensor],
        *,
        epochs: int,
        batch: int,
        rate: float | Callable[[int], float],
        dev: tuple[Tensor, Tensor] | None = None,
        seed: int = 0,
        loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
        watch: Callable[["Training"], object] | None = None,
        folder: str | Path | None = None,
        save_every: int | None = None,
        writes: bool = True,
        agree: Callable[[bool], bool] | None = None,
    ):
        for name, value in (("epochs", epochs), ("save_every", 1 if save_every is None else save_every)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a whole number, 1 or more, and it is {value!r}")
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ValueError(f"seed must be a whole number, and it is {seed!r}")
        if save_every is not None and folder is None:
            raise ValueError("save_every needs a folder to save in")
        check_examples(train, batch)
        if dev is not None:
            check_examples(dev)
        moved = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not any(id(parameter) in moved for parameter in model.parameters()):
            raise ValueError("the optimizer moves no parameter of this model: was it made for another one?")
        self.model, self.optimizer, self.train, self.dev = model, optimizer, train, dev
        self.epochs, self.batch, self.seed = epochs, batch, seed
        self.loss, self.watch, self.folder, self.save_every = loss, watch, folder, save_every
        self.writes, self.agree = writes, agree
        self.steps = len(train[0]) // batch * epochs
        # All of them now: a schedule that is too short should say so before an hour of training, not after.
        self._rates = [float(rate(step) if callable(rate) else rate) for step in range(self.steps)]
        for step, value in enumerate(self._rates):
            if not 0 <= value < math.inf:
                raise ValueError(f"a rate must be 0 or more, and finite; that of step {step} is {value}")
        self.step = 0
        self.history = History([], [], [])
        self._start = self._copy()
        self._ran = self._torn = False
        self._random: list[Tensor] = []  # the states of torch's random numbers where the run stopped
        self._saved: int | None = None  # the step of our own newest checkpoint

    def __repr__(self) -> str:
        return f"Training: {self.step:,} of {self.steps:,} steps done"

    def _copy(self) -> tuple[dict, dict]:
        return copy.deepcopy((self.model.state_dict(), self.optimizer.state_dict()))

    def run(self) -> History:
        """Train to the end: after an interruption or `resume` from there on, after a finished run afresh, with the same result.

        Interrupting the kernel (Ctrl-C) stops after the step in hand, says so, and returns the history so far. A second time it
        stops at once, by KeyboardInterrupt. Where that, or an error, leaves a step half done, the next run begins afresh.
        Raises Diverged once a loss is nan or inf, with the parameters as they were before that step; and before the first step
        OSError where the folder cannot be written, FileExistsError where it holds the checkpoints of another run.
        """
        afresh = self._torn or self.step in (0, self.steps)
        if self.folder is not None and self.writes:
            checkpoint.claim(self.folder, self._saved, afresh)
        if afresh:
            self._saved = None
            self._begin()
        # Not at the top of the file: it looks for Jupyter, and the set-up cell of a lesson need not wait for that.
        from tqdm.auto import tqdm

        modes = [(module, module.training) for module in self.model.modules()]
        # In a notebook tqdm itself would not look at its variable.
        silent = os.environ.get("TQDM_DISABLE", "") not in ("", "0")
        bar = tqdm(total=self.steps, initial=self.step, unit="step", disable=silent)
        interrupt = Interrupt()
        try:
            with random_numbers(self.model) as numbers, interrupt:
                numbers(self.seed if afresh else self._random)
                self.model.train()
                try:
                    self._loop(bar, interrupt, numbers)
                finally:
                    self._random = numbers()
        except KeyboardInterrupt:
            if interrupt.insisted:
                raise
            interrupt.asked = True  # outside the main thread nothing could hold it back
        finally:
            self._look(bar)
            bar.close()
            for module, mode in modes:
                module.training = mode
        if interrupt.asked and (self._torn or self.step < self.steps):
            self._tell()
        return self.history

    def _loop(self, bar, interrupt: Interrupt, numbers: Callable) -> None:
        per_epoch, next_look = self.steps // self.epochs, time.perf_counter()
        while True:
            measured = self.history.dev[-1][0] if self.history.dev else 0
            if self.dev is not None and self.step % per_epoch == 0 and self.step > measured:
                self.history.dev.append((self.step, mean_loss(self.model, *self.dev, self.loss)))
            stop = self._asked(interrupt)
            if self._due(stop):
                self._save(numbers())
            if stop or self.step == self.steps:
                return
            epoch, done = divmod(self.step, per_epoch)
            batches = minibatches(self.batch, *self.train, generator=order_of_epoch(self.seed, epoch))
            for X, Y in islice(batches, done, None):
                self._advance(X, Y)
                if self.watch is not None:
                    self.watch(self)
                if not bar.disable and time.perf_counter() >= next_look:
                    self._look(bar)
                    next_look = time.perf_counter() + REFRESH
                if self._asked(interrupt) or self._due():
                    break

    def _asked(self, interrupt: Interrupt) -> bool:
        """Whether to stop here. Where processes agree, what counts is what they agreed on, not an interrupt that came since."""
        if self.agree is None:
            return interrupt.asked
        if stop := self.agree(interrupt.asked):
            interrupt.asked = True
        return stop

    def _advance(self, X: Tensor, Y: Tensor) -> None:
        """One step, whole or not at all in what `step` and `history` say."""
        self._torn, rate = True, self._rates[self.step]
        loss = self.loss(self.model(X), Y)
        value = loss.item()
        if not math.isfinite(value):
            losses, start = self.history.losses, self._start[0]
            raise Diverged(diagnosis(value, self.step + 1, self.steps, rate, losses, self.model, X, Y, start))
        update(self.optimizer, loss, rate)
        self.history.losses.append(value)
        self.history.rates.append(rate)
        self.step += 1
        self._torn = False

    def _begin(self) -> None:
        """Back to the start. The first run starts from the model as it is now: it may have been changed since."""
        if self._ran:
            model, optimizer = copy.deepcopy(self._start)  # the optimizer would write into what it loads
            self.model.load_state_dict(model)
            self.optimizer.load_state_dict(optimizer)
        else:
            self._start = self._copy()
        self.step, self.history, self._torn, self._ran = 0, History([], [], []), False, True

    def _look(self, bar) -> None:
        if bar.disable or not self.history.losses:
            return
        dev = f", dev {self.history.dev[-1][1]:.3f}" if self.history.dev else ""
        loss, rate = self.history.recent(), self.history.rates[-1]
        bar.set_postfix_str(f"loss {loss:.3f}{dev}, rate {rate:.2g}", refresh=False)
        bar.update(self.step - bar.n)

    def _tell(self) -> None:
        if self._torn:
            print(f"Stopped in the midst of step {self.step + 1:,} of {self.steps:,}: run() starts afresh.")
            return
        loss = f": loss {self.history.recent():.2f}" if self.step else ""
        print(
            f"Stopped after step {self.step:,} of {self.steps:,}{loss}. "
            "Model, optimizer and history are kept; run() goes on from here."
        )

    # Checkpoints.

    def _due(self, interrupted: bool = False) -> bool:
        """Whether the state is to be saved now."""
        if self.folder is None or self.step in (0, self._saved):
            return False
        every = self.save_every is not None and self.step % self.save_every == 0
        return every or interrupted or self.step == self.steps

    def _settings(self) -> dict:
        """What decides, beside model and optimizer, how the run goes on."""
        sums = [zlib.crc32(one.cpu().contiguous().view(-1).view(torch.uint8).numpy()) for one in self.train]
        known = {"seed": self.seed, "batch": self.batch, "epochs": self.epochs}
        return known | {"number of examples": len(self.train[0]), "checksums of the examples": sums}

    def _save(self, random_states: list[Tensor]) -> None:
        if self.writes:
            tensors, state = checkpoint.pack(self.model, self.optimizer, self._settings())
            tensors |= {f"random.{place}": numbers for place, numbers in enumerate(random_states)}
            for name in ("losses", "rates"):
                tensors[f"history.{name}"] = torch.tensor(getattr(self.history, name), dtype=torch.float64)
            checkpoint.save(self.folder, self.step, tensors, state | {"dev": self.history.dev})
        self._saved = self.step

    def resume(self) -> int:
        """Load the newest whole checkpoint of the folder; run() then goes on from it as if nothing had happened.

        Returns its step, or 0, with a printed sentence, where there is none. Raises ValueError where the run has no folder, or
        the checkpoint is of another model, optimizer, seed, batch, number of epochs or data; nothing is loaded then.
        """
        if self.folder is None:
            raise ValueError("this run has no folder to resume from")
        found = checkpoint.load(self.folder)
        if found is None:
            print(f"There is no checkpoint in {self.folder} yet: run() starts at the beginning.")
            return 0
        try:
            checkpoint.unpack(found, self.model, self.optimizer, self._settings())
        except ValueError as error:
            raise ValueError(f"the checkpoint in {self.folder} does not fit this run: {error}") from None
        losses, rates = (found.tensors[f"history.{name}"].tolist() for name in ("losses", "rates"))
        self.step, self._saved, self._ran, self._torn = found.step, found.step, True, False
        self.history = History(losses, rates, [(step, loss) for step, loss in found.state["dev"]])
        self._random = [found.tensors[name] for name in sorted(found.tensors) if name.startswith("random.")]
        return self.step
