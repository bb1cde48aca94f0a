"""Ctrl-C, or the kernel's interrupt button, heard between two steps instead of in the middle of one. Used by lessons_lib.training.

Python raises KeyboardInterrupt wherever the program happens to be. In the middle of an optimizer's update that leaves some weights
moved and others not, a model that no run would ever have met, and nothing in it says so.
"""

import signal
import threading
from types import FrameType

__all__ = ["Interrupt"]


class Interrupt:
    """Inside its `with` block the first interrupt sets `asked`, for the loop to look at between steps.

    The second one sets `insisted` and raises KeyboardInterrupt at once: a step may hang. The loop may set `asked` itself, for another
    process that was interrupted; that is no interrupt of this one. Whatever handled interrupts before does so again afterwards.
    Outside the main thread Python handles no signals; there, and where interrupts are ignored, it does nothing.
    """

    def __init__(self):
        self.asked = self.insisted = self._heard = False
        self._earlier = None

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self._heard:
            self.insisted = True
            raise KeyboardInterrupt
        self.asked = self._heard = True

    def __enter__(self) -> "Interrupt":
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and callable(signal.getsignal(signal.SIGINT)):
            self._earlier = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *error) -> None:
        if self._earlier is not None:
            signal.signal(signal.SIGINT, self._earlier)
