"""Name the symbol of some steps before."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least, within
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example


@register("repeat_previous")
@dataclass(frozen=True)
class RepeatPrevious(Generated):
    """Random symbols; at every step, name the one of `back` steps before.

    The first `back` steps of a row do not count. After POPGym's Repeat Previous
    (arXiv:2303.01859), with four symbols there.
    """

    asks: ClassVar[str] = "the symbol that came back steps before"

    length: int = 32
    """Steps of a row."""
    back: int = 4
    """How many steps before; 0 is the current one."""
    symbols: int = 4
    """How many different symbols there are."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("symbols", self.symbols, 2)
        at_least("length", self.length, 1)
        within("back", self.back, 0, self.length - 1, f"below the row's length {self.length}")

    @property
    def in_features(self) -> int:
        return self.symbols

    @property
    def out_features(self) -> int:
        return self.symbols

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(T,) symbols."""
        return random.randint(self.symbols, size=self.length, dtype=np.int64)

    def example(self, numbers: np.ndarray) -> Example:
        targets = np.zeros_like(numbers)
        targets[self.back :] = numbers[: self.length - self.back]
        return episode(numbers, targets, np.arange(self.length) >= self.back)
