"""Ctrl-C and SIGTERM end a run after the step at hand."""

import signal
import threading
from types import FrameType
from typing import Any


class Interrupts:
    """Inside, `seen` is the first SIGINT or SIGTERM, 0 until then; a second one ends the process as usual.

    Outside the main thread, where Python cannot handle signals, nothing changes.
    """

    def __init__(self) -> None:
        self.seen = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        while self._before:
            signal.signal(*self._before.popitem())

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.seen = number
        self.__exit__()


def exit_code(number: int) -> int:
    """The exit code of a process that a signal ended, as shells have it."""
    return 128 + number
