"""Parity: of all bits so far, or of the last N."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example
from memcore.tasks.recall.last_bits import ManyN, OneN

PARITIES = ("even", "odd")


@register("parity")
@dataclass(frozen=True)
class Parity(Generated):
    """Random bits; at every step, whether the number of ones so far is odd.

    The smallest state to track: one bit that every one turns over. To see whether a model
    generalises to longer words, evaluate it on a greater `length`. A regular language of
    arXiv:2207.02098; see arXiv:2411.12537 on which recurrences can learn it.
    """

    asks: ClassVar[str] = "is the number of ones so far odd?"
    in_features: ClassVar[int] = 2
    out_features: ClassVar[int] = 2

    length: int = 32
    """Steps of a row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)

    @property
    def output_names(self) -> tuple[str, ...]:
        return PARITIES

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) bits."""
        return random.randint(2, size=self.length, dtype=np.int64)

    def example(self, numbers: np.ndarray) -> Example:
        return episode(numbers, np.cumsum(numbers) % 2, np.ones(self.length))


def parity_of_last(bits: np.ndarray, n: int) -> np.ndarray:
    """(T,): the parity of the last `n` bits at each step, of fewer where there are fewer."""
    sums = np.cumsum(bits)
    before = np.concatenate([np.zeros(n, sums.dtype), sums[: len(bits) - n]])
    return (sums - before) % 2


@register("n_parity")
@dataclass(frozen=True)
class NParity(OneN):
    """Random bits; at every step, whether the number of ones among the last N is odd.

    Steps with fewer than N bits do not count. See `curriculum` for a growing N. Source:
    arXiv:2309.12927.
    """

    asks: ClassVar[str] = "is the number of ones among the last n odd?"

    @property
    def output_names(self) -> tuple[str, ...]:
        return PARITIES

    def answer(self, bits: np.ndarray, n: int) -> np.ndarray:
        return parity_of_last(bits, n)


@register("n_parity_heads")
@dataclass(frozen=True)
class NParityHeads(ManyN):
    """N-parity for several N at once: output i is -1 or 1, the parity of the last n_min + i bits.

    Steps with fewer than n_max bits do not count. See `curriculum` for a growing n_max. Source:
    arXiv:2309.12927, the multi-head task.
    """

    asks: ClassVar[str] = "for each N: + where the number of ones among the last N is odd"

    def answer(self, bits: np.ndarray, n: int) -> np.ndarray:
        return parity_of_last(bits, n)
