"""Remember the first input of each episode; several episodes share a row."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least, within
from memcore.tasks.base.registry import register
from memcore.tasks.base.splits import draw_apart
from memcore.tasks.base.task import Example, Split, TaskDefaults, check_index, check_split

SIZES: dict[Split, int] = {"train": 65_536, "validation": 1_024, "test": 1_024}


@register("repeat_first")
@dataclass(frozen=True)
class RepeatFirst(TaskDefaults):
    """Random symbols; at every later step of an episode, name the episode's first symbol.

    A row of `length` steps holds `episodes` episodes, which begin at random steps. Inputs are
    one-hot vectors, or the symbols themselves where `tokens` is true. The first step of an
    episode needs no memory and does not count.
    """

    asks: ClassVar[str] = "the first symbol of the episode"

    length: int = 64
    """Steps of a row."""
    episodes: int = 4
    """Episodes in a row; each begins with a start."""
    symbols: int = 8
    """How many different symbols there are."""
    tokens: bool = False
    """Give symbols as integers instead of one-hot vectors."""
    seed: int = 0
    """Another seed gives other examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.symbols < 2:
            raise ValueError(f"symbols is {self.symbols}, expected at least 2")
        half, why = self.length // 2, f"half of the row's length {self.length}"
        within("episodes", self.episodes, 1, half, why)
        at_least("seed", self.seed, 0)

    @property
    def in_features(self) -> int:
        return self.symbols

    @property
    def out_features(self) -> int:
        return self.symbols

    def source(self, split: Split) -> "RepeatFirstRows":
        """The examples of one split; see `Task.source`."""
        check_split(split)
        return RepeatFirstRows(self, split)


@dataclass(frozen=True)
class RepeatFirstRows:
    """Example i is a function of (task, split, i) alone: nothing is stored."""

    task: RepeatFirst
    split: Split

    def __len__(self) -> int:
        return SIZES[self.split]

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        task = self.task
        symbols, starts = draw_apart(self._draw, task.seed, self.split, int(index))
        starts = starts.astype(bool)
        first = np.flatnonzero(starts)[np.cumsum(starts) - 1]
        return {
            "xs": symbols.astype(np.int32) if task.tokens else _one_hot(symbols, task.symbols),
            "starts": starts,
            "targets": symbols[first].astype(np.int32),
            "weights": (~starts).astype(np.float32),
        }

    def _draw(self, random: np.random.RandomState) -> np.ndarray:
        """(2, T) int64: the symbols, and 1 where an episode begins."""
        task = self.task
        starts = np.zeros(task.length, np.int64)
        starts[0] = 1
        starts[1 + random.permutation(task.length - 1)[: task.episodes - 1]] = 1
        return np.stack([random.randint(task.symbols, size=task.length, dtype=np.int64), starts])


def _one_hot(symbols: np.ndarray, count: int) -> np.ndarray:
    return (symbols[:, None] == np.arange(count)).astype(np.float32)
