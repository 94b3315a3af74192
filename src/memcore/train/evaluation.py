"""Evaluation on a whole split."""

import numpy as np

from memcore.tasks import Batch, Split, Task, epoch
from memcore.train.learners import Learner


def evaluate(learner: Learner, task: Task, split: Split, batch_size: int) -> dict[str, float]:
    """Mean `loss` (nats) and `accuracy` over every counted step of a split.

    The last, partial batch is filled up with rows of weight zero, so that one compiled function
    serves all; sums are added in float64.
    """
    batch_size = min(batch_size, len(task.source(split)))
    total = {"loss": 0.0, "correct": 0.0, "weight": 0.0}
    for batch in epoch(task, split, batch_size=batch_size):
        for key, value in learner.evaluate(_filled(batch, batch_size)).items():
            total[key] += float(value)
    return means(total)


def means(total: dict[str, float]) -> dict[str, float]:
    """Mean loss and accuracy from sums."""
    weight = total["weight"]
    return {"loss": total["loss"] / weight, "accuracy": total["correct"] / weight}


def _filled(batch: Batch, size: int) -> Batch:
    missing = size - len(batch["weights"])
    return {
        key: np.concatenate([value, np.zeros((missing, *value.shape[1:]), value.dtype)])
        for key, value in batch.items()
    }
