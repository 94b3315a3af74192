"""How far a comparison is: runs, steps, losses and the time left."""

import time
from pathlib import Path
from typing import Any

from rich.console import Console

from memcore.train.runs.progress import Bar, clock


class Follow:
    """A bar over the steps of all runs; it is told of each run as a logger."""

    def __init__(self, console: Console, runs: int, steps: int) -> None:
        self.bar = Bar(console, runs * steps, 0)
        self._runs, self._steps, self._began = runs, steps, time.monotonic()
        self._number, self._label, self._first, self._trained = 0, "", 0, 0
        self._losses: dict[str, str] = {}

    def begin(self, number: int, label: str) -> None:
        """Run `number`, from 0, comes next."""
        self._number, self._label, self._losses = number, label, {}
        self._show(0)

    def start(self, config: dict[str, Any], folder: Path, step: int) -> None:
        self._first = step

    def log(self, step: int, split: str, values: dict[str, float]) -> None:
        word = "loss" if split == "train" else f"{split} loss"
        self._losses[split] = f"{word} {values['loss']:.4f}"
        self._show(step)

    def finish(self, results: dict[str, Any] | None) -> None:
        self._trained += self._steps - self._first
        self._first = 0

    def _show(self, step: int) -> None:
        done = self._number * self._steps + step
        trained = self._trained + max(step - self._first, 0)
        elapsed = time.monotonic() - self._began
        left = (self._runs * self._steps - done) * elapsed / trained if trained else None
        run = f"run {self._number + 1}/{self._runs}  {self._label}  step {step}/{self._steps}"
        times = f"{clock(elapsed)} elapsed, {clock(left)} left"
        self.bar.show(done, times, [run, "  ".join(self._losses.values())])
