"""What tasks share that draw their examples."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.splits import draw_apart
from memcore.tasks.base.task import Example, Split, TaskDefaults, check_index, check_split


@dataclass(frozen=True, kw_only=True)
class Generated(TaskDefaults):
    """A task whose examples are drawn: a function of (task, split, index), nothing is stored.

    A subclass has a `length`, `in_features` and `out_features`, and two methods: `draw(random)`
    gives an array of integers, and `example(numbers)` the example that they determine. Different
    numbers must give different inputs: then no two splits can share one. Inputs are tokens
    unless the subclass says otherwise.
    """

    tokens: ClassVar[bool] = True
    sizes: ClassVar[dict[Split, int]] = {"train": 65_536, "validation": 1_024, "test": 1_024}

    seed: int = 0
    """Another seed gives other examples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("seed", self.seed, 0)

    def source(self, split: Split) -> "GeneratedRows":
        """The examples of one split; see `Task.source`."""
        check_split(split)
        return GeneratedRows(self, split)

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """Integers that determine an example."""
        raise NotImplementedError

    def example(self, numbers: np.ndarray) -> Example:
        """The example that `numbers` determine."""
        raise NotImplementedError


@dataclass(frozen=True)
class GeneratedRows:
    """The examples of one split of a task."""

    task: Generated
    split: Split

    def __len__(self) -> int:
        return self.task.sizes[self.split]

    def __getitem__(self, index: int, /) -> Example:
        check_index(index, len(self))
        task = self.task
        return task.example(draw_apart(task.draw, task.seed, self.split, int(index)))


def episode(xs: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> Example:
    """One episode over a whole row, in the dtypes of an example.

    xs (T,) ints or (T, in_features) floats; targets (T,) ints or (T, out_features) floats;
    weights (T,) numbers or booleans.
    """
    starts = np.zeros(len(xs), bool)
    starts[0] = True
    return {
        "xs": xs.astype(np.int32 if xs.ndim == 1 else np.float32),
        "starts": starts,
        "targets": targets.astype(np.int32 if targets.ndim == 1 else np.float32),
        "weights": weights.astype(np.float32),
    }
