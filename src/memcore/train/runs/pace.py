"""How long a training step takes."""

import time


class Pace:
    """Mean time of the steps between two pauses.

    The first step of all compiles and does not count. Before `pause` the device must have finished what it
    was given. `steps` and `seconds` are what `timed` gave, of the sittings before.
    """

    def __init__(self, steps: int = 0, seconds: float = 0.0) -> None:
        self._since: float | None = None
        self._waiting, self._steps, self._seconds, self._first = 0, steps, seconds, True

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
    def timed(self) -> tuple[int, float]:
        """How many steps were timed, and the seconds that they took."""
        return self._steps, self._seconds

    @property
    def mean(self) -> float | None:
        """Seconds per step; None where no step was timed."""
        return self._seconds / self._steps if self._steps else None
