"""What tasks on the last N of random bits share, and their curricula.

A curriculum is a series of tasks with N = 2, 3, ...: one N at a time, or all up to it at once. In
arXiv:2309.12927 networks forgot the smaller N with the first and kept them with the second.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np

from memcore.tasks.base.checks import at_least, within
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.task import Example


@dataclass(frozen=True)
class _Bits(Generated):
    """Random bits as tokens 0 and 1."""

    in_features: ClassVar[int] = 2

    length: int = 32
    """Steps of a row."""

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) bits."""
        return random.randint(2, size=self.length, dtype=np.int64)

    def answer(self, bits: np.ndarray, n: int) -> np.ndarray:
        """(T,) the bit asked for at each step, of any value before step `n` - 1."""
        raise NotImplementedError


@dataclass(frozen=True)
class OneN(_Bits):
    """One N: the answer is a class, 0 or 1, and counts from step N - 1 on."""

    out_features: ClassVar[int] = 2

    n: int = 2
    """N: how many bits the answer is about, the current one among them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 2)
        within("n", self.n, 2, self.length, f"the row's length {self.length}")

    def example(self, numbers: np.ndarray) -> Example:
        counts = np.arange(self.length) >= self.n - 1
        return episode(numbers, np.where(counts, self.answer(numbers, self.n), 0), counts)


@dataclass(frozen=True)
class ManyN(_Bits):
    """Every N from `n_min` to `n_max` at once, each with an output: -1 for 0, 1 for 1.

    The loss is the mean squared error; steps count from the largest N's on. Outputs of 0 have
    an error of 1.
    """

    loss: ClassVar[str] = "mse"
    metric: ClassVar[str] = "mse"

    n_min: int = 2
    """The smallest N."""
    n_max: int = 4
    """The largest N."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 2)
        within("n_max", self.n_max, 2, self.length, f"the row's length {self.length}")
        within("n_min", self.n_min, 2, self.n_max, "as n_max")

    @property
    def out_features(self) -> int:
        return self.n_max - self.n_min + 1

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(f"N = {n}" for n in range(self.n_min, self.n_max + 1))

    def example(self, numbers: np.ndarray) -> Example:
        counts = np.arange(self.length) >= self.n_max - 1
        answers = [self.answer(numbers, n) for n in range(self.n_min, self.n_max + 1)]
        signs = 2.0 * np.stack(answers, axis=-1) - 1.0
        return episode(numbers, np.where(counts[:, None], signs, 0.0), counts)


LastBits = TypeVar("LastBits", OneN, ManyN)


def curriculum(task: LastBits) -> Iterator[LastBits]:
    """`task`, then the same with N greater by one (or with one N more), up to the row's length.

    Go on to the next task when the current one is learnt: in arXiv:2309.12927, at an accuracy of
    98%. Of several N, every task has one output more than the one before; the first outputs are
    the same.
    """
    option = "n" if isinstance(task, OneN) else "n_max"
    for n in range(getattr(task, option), task.length + 1):
        yield replace(task, **{option: n})
