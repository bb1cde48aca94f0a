"""What keeps a notebook alive and readable while a learner's function is tried: time, output and `exit()` are held in check."""

import _thread
import io
import signal
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

__all__ = ["Noise", "TimeUp", "captured", "exit_raises", "time_limit"]

AGAIN = 0.1  # seconds from one ring to the next, should a `finally` or an `except:` have caught the first
LINES, WIDTH = 3, 100  # what is kept of the output


class TimeUp(BaseException):
    """The time limit is over; `seconds` is what it was. Not an Exception: a learner's `except Exception` lets it through."""

    def __init__(self, seconds: float):
        super().__init__(f"{seconds:g} seconds are over")
        self.seconds = seconds


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeUp inside the `with` block once it has run for `seconds`, and leave no timer and no handler behind.

    On Unix the clock is SIGALRM's; an earlier timer and handler are put back, with the time that is left. Elsewhere a thread
    calls `_thread.interrupt_main`, as if SIGTERM had come, so that Ctrl-C keeps its own meaning. Three things it cannot do:

    - Stop one long call into C, such as the product of two huge matrices (or, without SIGALRM, a `time.sleep`): Python looks
      for signals between its own steps, so TimeUp is raised when that call comes back.
    - Get past every bare `except:`, which catches TimeUp too. It rings again every tenth of a second until one gets through;
      around a loop that spends all its time inside such a `try`, none may.
    - Anything outside the main thread, where Python allows no signals: there the block runs without a limit.

    Restarting the kernel always helps.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    live = False

    def ring(signum, frame):
        if live:
            raise TimeUp(seconds)

    clock = alarm_clock if hasattr(signal, "SIGALRM") else thread_clock
    number = signal.SIGALRM if clock is alarm_clock else signal.SIGTERM
    earlier, stop = signal.signal(number, ring), None
    try:
        stop = clock(seconds, number)
        live = True  # an earlier ring would leave a clock that nobody stops; it rings again
        yield
    finally:
        live = False  # from here on a late ring does nothing, so what follows is done to its end
        if stop:
            stop()
        signal.signal(number, earlier)


def alarm_clock(seconds: float, number: int) -> Callable:
    """Start the system's timer; the function returned stops it and restores the one that ran before."""
    start = time.monotonic()
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)

    def stop() -> None:
        rest = max(left - (time.monotonic() - start), 0.001) if left else 0  # 0 is no timer
        signal.setitimer(signal.ITIMER_REAL, rest, interval)

    return stop


def thread_clock(seconds: float, number: int) -> Callable:
    """The same with a thread that interrupts the main one, for systems without SIGALRM."""
    over = threading.Event()

    def wait() -> None:
        pause = seconds
        while not over.wait(pause):
            _thread.interrupt_main(number)
            pause = AGAIN

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    return stop


class Noise(io.TextIOBase):
    """Stands in for stdout and stderr: counts the lines and keeps the last few, since a loop may print for ever."""

    def __init__(self):
        self.lines, self.last, self.begun = 0, deque(maxlen=LINES), ""
        self.warnings, self.warning = 0, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, rest = (self.begun + text).replace("\r", "\n").split("\n")
        whole = [line for line in whole if line.strip()]
        self.lines += len(whole)
        self.last.extend(shortened(line) for line in whole[-LINES:])
        self.begun = rest[: 2 * WIDTH]
        return len(text)

    def warn(self, message, category, *_) -> None:
        """In the place of `warnings.showwarning`."""
        self.warnings += 1
        self.warning = self.warning or shortened(f"{category.__name__}: {message}".split("\n")[0])

    def told(self) -> str:
        """What a verdict adds about it: nothing, or lines of its own. The last lines printed belong to the last input tried."""
        self.write("\n")  # ends the line that was begun
        many = f" {self.lines} lines; the last {LINES}" if self.lines > LINES else ""
        text = " " + self.last[0] if self.lines == 1 else "".join(f"\n  {line}" for line in self.last)
        printed = f"\n(Your function printed{many}:{text})" if self.lines else ""
        more = f", and {self.warnings - 1} more" if self.warnings > 1 else ""
        warned = f"\n(Your function warned: {self.warning}{more})" if self.warnings else ""
        return printed + warned


def shortened(line: str) -> str:
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


@contextmanager
def captured() -> Iterator[Noise]:
    """Take what the block prints and warns, so that it does not drown the verdict."""
    noise = Noise()
    with redirect_stdout(noise), redirect_stderr(noise), warnings.catch_warnings():
        warnings.showwarning = noise.warn
        yield noise


@contextmanager
def exit_raises() -> Iterator[None]:
    """Let `exit()` raise SystemExit in a notebook too. There it is IPython's own, which ends the kernel after the cell."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    if not shell:
        yield
        return

    def leave() -> None:
        raise SystemExit

    earlier = shell.ask_exit
    shell.ask_exit = leave
    try:
        yield
    finally:
        shell.ask_exit = earlier
