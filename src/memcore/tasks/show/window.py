"""Which steps of an example a picture shows."""

from dataclasses import dataclass

import numpy as np

from memcore.tasks.base.packing import joined
from memcore.tasks.base.task import IGNORED, Example, Split, Task


@dataclass(frozen=True)
class Window:
    """Consecutive steps of an example, the first of which is its step number `first`."""

    example: Example
    first: int = 0

    @property
    def steps(self) -> np.ndarray:
        """(T,) the numbers of the steps."""
        return self.first + np.arange(len(self.example["starts"]))

    @property
    def asked(self) -> np.ndarray:
        """The places in the window that count."""
        return np.flatnonzero(self.example["weights"])


def window(task: Task, split: Split, index: int, steps: int) -> Window:
    """The first `steps` steps of an example; where nothing is asked in them, its last ones.

    In the memory of two windows, however long the example is.
    """
    front = beginning(task, split, index, steps)
    if _counted(front)["weights"].any() or len(front["starts"]) < steps:
        return Window(_counted(front))
    kept, length = front, 0
    for segment in task.segments(split, index, steps):
        length += len(segment["starts"])
        kept = last([kept, segment], steps) if length > len(segment["starts"]) else segment
    return Window(_counted(kept), length - len(kept["starts"]))


def _counted(example: Example) -> Example:
    """The example, whose steps of the class -100 weigh nothing, as in the loss."""
    targets, weights = example["targets"], example["weights"]
    if targets.ndim == 1:
        weights = np.where(targets == IGNORED, np.float32(0), weights)
    return {**example, "weights": weights}


def beginning(task: Task, split: Split, index: int, steps: int) -> Example:
    """The first `steps` steps of an example, or all of a shorter one; no more than those are made."""
    segments, length = [], 0
    for segment in task.segments(split, index, steps):
        segments.append(segment)
        length += len(segment["starts"])
        if length >= steps:
            break
    return {key: value[:steps] for key, value in joined(segments).items()}


def last(segments: list[Example], steps: int) -> Example:
    """The last `steps` steps of segments one behind the other."""
    return {key: value[-steps:] for key, value in joined(segments).items()}
