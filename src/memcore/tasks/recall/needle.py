"""Find the needle in a haystack of random tokens.

Tokens, in this order: 0 says that a needle follows, 1 asks; then the keys, the values, the filler.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least, within
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example

NEEDLE, ASK, FIRST = 0, 1, 2


@register("needle")
@dataclass(frozen=True)
class Needle(Generated):
    """Needles "0 key value" in random filler, and at the end "1 key": name the key's value.

    Needles have different keys and do not overlap; the answer is a token and counts at the last
    step. After the needle-in-a-haystack tests of language models, in the synthetic form of RULER
    (arXiv:2404.06654), with several keys where `needles` is more than 1.
    """

    asks: ClassVar[str] = "the value of the key asked for; ! begins a needle"

    length: int = 64
    """Steps of a row."""
    needles: int = 1
    """How many needles there are; one is asked for."""
    keys: int = 4
    """How many different keys there are."""
    values: int = 8
    """How many different values there are."""
    filler: int = 8
    """How many different tokens the filler has."""
    depth: float | None = None
    """Where the needle asked for stands: from 0, in front, to 1, at the end; None is anywhere."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("values", self.values, 2)
        at_least("filler", self.filler, 1)
        within("needles", self.needles, 1, self.keys, "the number of keys")
        at_least("length", self.length, 3 * self.needles + 2)
        if self.depth is not None:
            within("depth", self.depth, 0, 1, "relative to the filler")

    @property
    def in_features(self) -> int:
        return FIRST + self.keys + self.values + self.filler

    @property
    def out_features(self) -> int:
        return self.in_features

    @property
    def input_names(self) -> tuple[str, ...]:
        sizes = {"k": self.keys, "v": self.values, "": self.filler}
        return ("!", "?", *(f"{kind}{i}" for kind, size in sizes.items() for i in range(size)))

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.input_names

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) tokens."""
        first_value = FIRST + self.keys
        first_filler = first_value + self.values
        tokens = first_filler + random.randint(self.filler, size=self.length, dtype=np.int64)
        keys = FIRST + random.permutation(self.keys)[: self.needles]
        places, asked = self._places(random)
        tokens[places] = NEEDLE
        tokens[places + 1] = keys
        tokens[places + 2] = first_value + random.randint(
            self.values, size=self.needles, dtype=np.int64
        )
        tokens[-2:] = ASK, keys[asked]
        return tokens

    def _places(self, random: np.random.RandomState) -> tuple[np.ndarray, int]:
        """Where the needles begin, in order, and which one is asked for.

        Each needle takes one of as many cells as there are needles and steps of filler.
        """
        cells = self.length - 2 - 2 * self.needles
        order = random.permutation(cells)
        if self.depth is not None:
            cell = int(round(self.depth * (cells - 1)))
            order = np.concatenate([[cell], order[order != cell]])
        chosen = np.sort(order[: self.needles])
        return chosen + 2 * np.arange(self.needles), int(np.searchsorted(chosen, order[0]))

    def example(self, numbers: np.ndarray) -> Example:
        places = np.flatnonzero(numbers == NEEDLE)
        found = places[numbers[places + 1] == numbers[-1]]
        targets, weights = np.zeros(self.length, np.int64), np.zeros(self.length)
        targets[-1] = numbers[found[0] + 2]
        weights[-1] = 1
        return episode(numbers, targets, weights)
