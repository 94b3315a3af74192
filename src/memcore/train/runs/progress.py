"""Progress while training: a bar on a terminal, a line per check elsewhere."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

REFRESH = 0.25
"""Seconds between two looks at the training loss, each of which waits for the device."""


class Display:
    """Shows how far training is: step, loss, metric, the last check, the time left."""

    def __init__(self, console: Console, steps: int, done: int, metric: str) -> None:
        self._console, self._steps, self._metric = console, steps, metric
        self._shown = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[train]}{task.fields[check]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(
            "compiling", total=steps, completed=done, train="", check=""
        )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def stale(self) -> bool:
        """Whether it is time to show a training step."""
        return time.monotonic() - self._shown > REFRESH

    def train(self, step: int, values: dict[str, float]) -> None:
        """Show the training values of a step."""
        self._shown = time.monotonic()
        text = f"loss {values['loss']:.4f} {self._value(values)}" if values else ""
        self._bar.update(self._task, description="training", completed=step, train=text)

    def check(self, step: int, values: dict[str, float]) -> None:
        """Show a check on the validation split."""
        self._bar.update(self._task, check=f" validation {self._value(values)}")
        if self._bar.disable:
            self._console.print(
                f"step {step}/{self._steps}  validation loss {values['loss']:.4f}  "
                f"{self._value(values)}",
                highlight=False,
            )

    def _value(self, values: dict[str, float]) -> str:
        return f"{self._metric} {shown(self._metric, values[self._metric])}"


def shown(metric: str, value: float) -> str:
    """A metric as text: accuracies in percent, all others as they are."""
    return f"{value:.1%}" if metric == "accuracy" else f"{value:.4g}"
