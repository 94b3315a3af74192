"""N-delayed match to sample: is this bit the one of N - 1 steps before?"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.registry import register
from memcore.tasks.recall.last_bits import ManyN, OneN


def matches(bits: np.ndarray, n: int) -> np.ndarray:
    """(T,): 1 where a bit equals the one `n` - 1 steps before; before the first, bits are 0."""
    before = np.concatenate([np.zeros(n - 1, bits.dtype), bits[: len(bits) - n + 1]])
    return (bits == before).astype(np.int64)


@register("n_dms")
@dataclass(frozen=True)
class NDMS(OneN):
    """Random bits; at every step, whether the bit equals the one N - 1 steps before.

    Steps with no such bit do not count. See `curriculum` for a growing N. Source:
    arXiv:2309.12927.
    """

    asks: ClassVar[str] = "is the bit the one of n - 1 steps before?"

    @property
    def output_names(self) -> tuple[str, ...]:
        return ("no", "yes")

    def answer(self, bits: np.ndarray, n: int) -> np.ndarray:
        return matches(bits, n)


@register("n_dms_heads")
@dataclass(frozen=True)
class NDMSHeads(ManyN):
    """Match to sample for several N at once: output i is 1 where the bit equals that of
    n_min + i - 1 steps before, else -1.

    Steps with fewer than n_max bits do not count. See `curriculum` for a growing n_max. Source:
    arXiv:2309.12927, the multi-head task.
    """

    asks: ClassVar[str] = "for each N: + where the bit is the one of N - 1 steps before"

    def answer(self, bits: np.ndarray, n: int) -> np.ndarray:
        return matches(bits, n)
