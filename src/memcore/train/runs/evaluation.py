"""Evaluation on a whole split."""

from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from memcore.tasks import Batch, Split, Task, epoch
from memcore.tasks.base.streams import rows_of, side_by_side
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.learners import Learner


def evaluate(
    learner: Learner,
    task: Task,
    split: Split,
    batch_size: int,
    segment: int = 0,
    rows: int = 0,
    placement: Placement = ONE_DEVICE,
) -> dict[str, float]:
    """Mean `loss` and the task's metric over every counted step of a split.

    The last, partial batch is filled up with rows of weight zero, so that one compiled function
    serves all; sums are added in float64. With a `segment` the rows are streamed in segments of that
    many steps, the model's state carried on: rows of any length in the memory of a segment. With
    `rows` only so many of the split's rows count, its first ones. `placement` is the learner's.

    Raises ValueError where no step of the split counts.
    """
    count = min(rows or rows_of(task, split), rows_of(task, split))
    batch_size = min(batch_size, count)
    size = placement.filled(batch_size)
    total: dict[str, float] = defaultdict(float)
    kept = learner.carry
    try:
        if segment:
            learner.carry = placement.begin(learner.model, learner.params, size)
        for batch in _batches(task, split, batch_size, segment, count):
            if not segment:
                learner.carry = None
            whole = placement.own(_filled(batch, size))
            for key, value in learner.evaluate(placement.rows(whole)).items():
                total[key] += float(value)
    finally:
        learner.carry = kept
    if not total["weight"]:
        raise ValueError(
            f"the {split} split of {task.name} asks for nothing, expected some weights"
        )
    return means(total, task.metric)


def means(total: dict[str, float], metric: str) -> dict[str, float]:
    """Mean loss and metric from sums; see `Objective.sums`."""
    weight = total["weight"]
    return {"loss": total["loss"] / weight, metric: total["score"] / total.get("size", weight)}


def _batches(
    task: Task, split: Split, batch_size: int, segment: int, count: int
) -> Iterator[Batch]:
    if not segment and count == rows_of(task, split):
        yield from epoch(task, split, batch_size=batch_size)
        return
    for first in range(0, count, batch_size):
        chosen = list(range(first, min(first + batch_size, count)))
        yield from side_by_side(task, split, chosen, segment or task.length)


def _filled(batch: Batch, size: int) -> Batch:
    missing = size - len(batch["weights"])
    return {
        key: np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
        for key, value in batch.items()
    }
