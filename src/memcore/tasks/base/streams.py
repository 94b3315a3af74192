"""Long rows in segments: the batches of truncated backpropagation, and of evaluation by streaming."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from memcore.tasks.base.batches import Batch
from memcore.tasks.base.task import SPLITS, Example, Split, Task, check_parts, check_size


class Segments:
    """Endless shuffled rows of a split in batches of segments, side by side.

    Item n of the iterator holds `size` steps of `batch_size` rows; the items that follow go on with
    the same rows to their end, then others begin. The last segment of a row is filled up with steps of
    weight zero. Each epoch has its own order, fixed by `seed`; what is left over of an epoch when its
    rows no longer fill a batch opens the next. Memory is that of a segment, not of a row.

    Not through grain, as `batches` are: its sources are asked for whole examples, each by its number alone,
    and a segment has to follow the one before it of the same row, which is never there as a whole.

    `get_state()` is a small JSON-able dict, and `set_state(state)` on an iterator of the same arguments
    goes on exactly from there. `part` is that of `batches`. Raises ValueError for a `batch_size` or `size`
    that does not fit.
    """

    def __init__(
        self,
        task: Task,
        split: Split,
        *,
        batch_size: int,
        size: int,
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        check_size(size)
        check_parts(batch_size, part[1])
        self._task, self._split, self._size, self._seed = task, split, size, seed
        self._rows = rows_of(task, split)
        if not 1 <= batch_size <= self._rows:
            raise ValueError(
                f"batch_size is {batch_size}, expected 1 to {self._rows}, the size of the {split} "
                f"split of {task.name}"
            )
        self._batch_size, self._part = batch_size, part
        self.set_state({"batch": 0, "segment": 0})

    def __iter__(self) -> "Segments":
        return self

    def __next__(self) -> Batch:
        segment = next(self._current, None)
        if segment is None:
            self.set_state({"batch": self._batch + 1, "segment": 0})
            segment = next(self._current)
        self._segment += 1
        return segment

    def get_state(self) -> dict[str, int]:
        """Which rows, and which of their segments comes next."""
        return {"batch": self._batch, "segment": self._segment}

    def set_state(self, state: dict[str, int]) -> None:
        """Go on from what `get_state` gave."""
        self._batch, self._segment = state["batch"], state["segment"]
        first = self._batch * self._batch_size
        index, count = self._part
        rows = [self._row(n) for n in range(first + index, first + self._batch_size, count)]
        self._current = side_by_side(self._task, self._split, rows, self._size)
        for _ in range(self._segment):
            next(self._current)

    def _row(self, number: int) -> int:
        """The row that stands at place `number` of the shuffled epochs, one behind the other."""
        epoch, place = divmod(number, self._rows)
        return int(order(self._seed, epoch, self._rows)[place])


@functools.lru_cache(maxsize=2)  # a batch may span two epochs
def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The rows in the order of an epoch; not to be written to."""
    return np.random.RandomState([seed, epoch]).permutation(rows)


def side_by_side(task: Task, split: Split, rows: list[int], size: int) -> Iterator[Batch]:
    """Rows of a split as batches of segments of `size` steps, the last one filled up."""
    for segments in zip(*(task.segments(split, row, size) for row in rows), strict=True):
        filled = [_filled(segment, size) for segment in segments]
        yield {key: np.stack([segment[key] for segment in filled]) for key in filled[0]}


def rows_of(task: Task, split: Split) -> int:
    """How many rows a split has."""
    return len(task.source(split))


def _filled(segment: Example, size: int) -> dict[str, Any]:
    missing = size - len(segment["starts"])
    return {
        key: np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
        for key, value in segment.items()
    }


def look(task: Task, segment: int = 0, rows: int = 0, splits: Sequence[Split] = SPLITS) -> None:
    """Draw examples of each of the splits as training will, whole or in segments, until something is asked.

    So what is wrong with a task's data, or cannot be had in one piece, is said before training begins.
    With `rows` only so many of the rows for validation and testing count, the first ones. Raises
    ValueError for a split that asks for nothing: nothing could be learned or measured.
    """
    for split in splits:
        count = rows_of(task, split)
        if rows and split != "train":
            count = min(rows, count)
        if not any(_asks(task, split, row, segment) for row in range(count)):
            raise ValueError(
                f"the {split} split of {task.name} asks for nothing in {count} rows, expected some weights"
            )


def _asks(task: Task, split: Split, row: int, segment: int) -> bool:
    """Whether a step of a row counts."""
    parts = task.segments(split, row, segment) if segment else [task.source(split)[row]]
    return any(np.any(part["weights"]) for part in parts)
