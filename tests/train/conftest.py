"""A small run, and ways to end it early."""

import importlib
import signal
import sys
import time
from collections.abc import Callable, Iterator

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


@pytest.fixture
def forget(monkeypatch) -> Callable[..., None]:
    """`forget(prefix, ...)`: modules so named are imported anew, and afterwards are what they were."""

    def arrange(*prefixes: str) -> None:
        for name in [name for name in sys.modules if name.startswith(prefixes)]:
            parent, _, last = name.rpartition(".")
            package = sys.modules.get(parent)
            if last in vars(package or object):
                # An import sets this as well: without it, two modules of one name would be about.
                monkeypatch.setattr(package, last, getattr(package, last))
            monkeypatch.delitem(sys.modules, name)

    return arrange


def deliver(number: int) -> None:
    """The signal, until Python has run its handler: with other threads about, not always at once."""
    handler = signal.getsignal(number)
    signal.raise_signal(number)
    for _ in range(1000):
        if signal.getsignal(number) != handler:
            return
        time.sleep(0.001)


@pytest.fixture
def stop_after(monkeypatch) -> Iterator[Callable[..., None]]:
    """`stop_after(step, signal, framework)`: a signal comes while that training step runs."""
    from memcore.train.learners import CLASSES

    def arrange(step: int, number: int = signal.SIGINT, framework: str = "core") -> None:
        module = importlib.import_module(f"memcore.train.learners.{framework}")
        learner = getattr(module, CLASSES[framework])
        plain, count = learner.step, 0

        def counted(self, batch):
            nonlocal count
            count += 1
            if count == step:
                deliver(number)
            return plain(self, batch)

        monkeypatch.setattr(learner, "step", counted)

    # A process that was started in the background ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield arrange
    signal.signal(signal.SIGINT, before)
