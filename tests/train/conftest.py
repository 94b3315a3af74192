"""A small run, and ways to end it early."""

import signal
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from memcore.train import Config
from train.small import small_config


@pytest.fixture
def config() -> Config:
    return small_config()


@pytest.fixture
def console() -> Console:
    """Not a terminal; `export_text` gives what was printed."""
    return Console(record=True, width=200, force_terminal=False)


def deliver(number: int) -> None:
    """The signal, until Python has run its handler: with other threads about, not always at once."""
    handler = signal.getsignal(number)
    signal.raise_signal(number)
    for _ in range(1000):
        if signal.getsignal(number) != handler:
            return
        time.sleep(0.001)


@pytest.fixture
def stop_after(monkeypatch) -> Callable[[int, int], None]:
    """`stop_after(step, signal)`: the process gets a signal while that training step runs."""
    from memcore.train.learners.core import CoreLearner

    def arrange(step: int, number: int = signal.SIGINT) -> None:
        plain, count = CoreLearner.step, 0

        def counted(self, batch):
            nonlocal count
            count += 1
            if count == step:
                deliver(number)
            return plain(self, batch)

        monkeypatch.setattr(CoreLearner, "step", counted)

    return arrange
