"""Batches of a task, through grain."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from memcore.tasks.base.task import Source, Split, Task, check_parts

if TYPE_CHECKING:
    import grain

Batch = dict[str, np.ndarray]


def batches(
    task: Task,
    split: Split = "train",
    *,
    batch_size: int,
    seed: int = 0,
    part: tuple[int, int] = (0, 1),
) -> "grain.DatasetIterator[Batch]":
    """Endless shuffled batches of a split, every one of `batch_size` rows.

    Each epoch has its own order, fixed by `seed`; a batch may span two epochs, so that every
    example counts equally. The iterator's `get_state()` is a small JSON-able dict, and
    `set_state(state)` on an iterator of the same arguments goes on exactly from there.

    `part` is ``(index, count)``: every process of `count` gets its own rows of each batch, which together
    are the batch of one process. The state is the same on all, and for any `count`.

    Raises ValueError for a `batch_size` below 1 or above the size of the split, or of which the processes
    cannot have equally many rows.
    """
    index, count = part
    check_parts(batch_size, count)
    rows = _dataset(task, split, batch_size).seed(seed).shuffle().repeat()[index::count]
    batched = rows.batch(batch_size // count, drop_remainder=True)
    return iter(batched.to_iter_dataset(_reading()))


def epoch(task: Task, split: Split, *, batch_size: int) -> Iterator[Batch]:
    """A split once, in order; the last batch may be smaller.

    Raises ValueError for a `batch_size` below 1 or above the size of the split.
    """
    rows = _dataset(task, split, batch_size)
    return iter(rows.batch(batch_size).to_iter_dataset(_reading()))


def _dataset(task: Task, split: Split, batch_size: int) -> "grain.MapDataset":
    grain = _grain()
    source: Source = task.source(split)
    if not 1 <= batch_size <= len(source):
        raise ValueError(
            f"batch_size is {batch_size}, expected 1 to {len(source)}, the size of the "
            f"{split} split of {task.name}"
        )
    return grain.MapDataset.source(source)


def _reading() -> "grain.ReadOptions":
    # Rows are cheap to make; without reading threads the iterator's state is that of the
    # batch handed out, and nothing outlives an interrupted run.
    return _grain().ReadOptions(num_threads=0, prefetch_buffer_size=0)


def _grain():
    try:
        import grain
    except ImportError as error:
        raise ImportError('batches need grain: install the extra "train"') from error
    return grain
