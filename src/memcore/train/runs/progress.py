"""Progress while training: a bar on a terminal, a line per check elsewhere."""

import time
from collections.abc import Iterable
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

REFRESH = 0.25
"""Seconds between two looks at the training loss, each of which waits for the device."""


class Display:
    """Shows how far training is: step, loss, metric, rate, the last check, speed and the time left.

    `seconds` have gone by in the sittings before, with `done` steps.
    """

    def __init__(
        self, console: Console, steps: int, done: int, metric: str, seconds: float = 0.0
    ) -> None:
        self._console, self._steps, self._metric = console, steps, metric
        self._shown = time.monotonic()
        self._began = self._shown - seconds
        self._first: tuple[int, int, float] | None = None
        self._last, self._check, self._time = "", "", ""
        self.throughput: dict[str, float] = {}
        """Tokens per second, as metrics have it; empty until a second step is shown."""
        self._bar = Bar(console, steps, done)

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

    def train(self, step: int, values: dict[str, float], rate: float, tokens: int) -> None:
        """Show the training values of a step, its learning rate, and the speed.

        `tokens`: how many time steps of rows have gone through the model in this sitting.
        """
        self._shown = now = time.monotonic()
        if self._first is None:  # before that it compiles
            self._first = step, tokens, now
        first, before, since = self._first
        steps, seconds = step - first, now - since
        parts = [f"loss {values['loss']:.4f}", self._value(values), f"rate {rate:.3g}"]
        left = None
        if steps and seconds:
            tokens_per_second = (tokens - before) / seconds
            self.throughput = {"tokens_per_second": tokens_per_second}
            left = (self._steps - step) * seconds / steps
            speed = f"{steps / seconds:,.1f} steps/s", f"{tokens_per_second:,.0f} tokens/s"
            parts.extend(speed)
        self._last = "  ".join(parts)
        self._time = f"{clock(now - self._began)} elapsed, {clock(left)} left"
        self._bar.show(step, self._time, [self._last, self._check])

    def check(self, step: int, values: dict[str, float]) -> None:
        """Show a check on the validation split, after `train` of the same step."""
        self._check = f"validation loss {values['loss']:.4f}  {self._value(values)}"
        self._bar.show(step, self._time, [self._last, self._check])
        if self._bar.disable:
            parts = [f"step {step}/{self._steps}", self._check, f"train {self._last}", self._time]
            self._console.print("  ".join(parts), highlight=False, soft_wrap=True)

    def _value(self, values: dict[str, float]) -> str:
        return f"{self._metric} {shown(self._metric, values[self._metric])}"


class Bar(Progress):
    """A line of step, bar and time, and beneath it whatever there is to say, on as many lines as it needs."""

    def __init__(self, console: Console, steps: int, done: int) -> None:
        self._lines: list[str] = []
        super().__init__(
            TextColumn("step {task.completed}/{task.total}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[time]}"),
            console=console,
            expand=True,
            disable=not console.is_terminal,
        )
        self._task = self.add_task("", total=steps, completed=done, time="compiling")

    def show(self, step: int, time: str, lines: list[str]) -> None:
        """Show a step, the time, and these lines."""
        self._lines = [line for line in lines if line]
        self.update(self._task, completed=step, time=time)

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        yield from map(Text, self._lines)


def clock(seconds: float | None) -> str:
    """Seconds as 0:01:05."""
    return "-:--:--" if seconds is None else str(timedelta(seconds=round(seconds)))


def shown(metric: str, value: float) -> str:
    """A metric as text: accuracies in percent, all others as they are."""
    return f"{value:.1%}" if metric == "accuracy" else f"{value:.4g}"
