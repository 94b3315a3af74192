"""How long a training step takes."""

import time


class Pace:
    """Mean time of the steps between two pauses.

    The first step of all compiles and does not count. Before `pause` the device must have finished what it
    was given.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._waiting, self._steps, self._seconds, self._first = 0, 0, 0.0, True

    def step(self) -> None:
        """A step has been given to the device."""
        self._waiting += 1
        if self._first:
            self._first, self._waiting = False, 0
        if self._since is None:
            self._since, self._waiting = time.monotonic(), 0

    def pause(self) -> None:
        """All steps so far are done; something else comes."""
        if self._since is not None and self._waiting:
            self._seconds += time.monotonic() - self._since
            self._steps += self._waiting
        self._since, self._waiting = None, 0

    @property
    def mean(self) -> float:
        """Seconds per step; 0 where no step was timed."""
        return self._seconds / self._steps if self._steps else 0.0
