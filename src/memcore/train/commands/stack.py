"""The network around a model: from a task's inputs to the scores of its classes."""

from typing import Literal

from memcore.cell import Model
from memcore.compose import ResidualStack
from memcore.tasks import Packed, Task

POSITIONS = 1_024
"""Learned positions at most; later steps share the last one."""


def network(
    task: Task,
    model: Model | tuple[Model, ...],
    *,
    layers: int = 2,
    position: Literal["learned"] | None = "learned",
) -> ResidualStack:
    """`layers` residual blocks around `model`, whose `in_features` is the width of the stack.

    With `position="learned"` every step knows its number since the last start, up to `POSITIONS`: the
    table is as long as one example of the task, and no longer than that.
    """
    example = task.task if isinstance(task, Packed) else task
    return ResidualStack(
        task.in_features,
        model=model,
        layers=layers,
        out_features=task.out_features,
        tokens=task.tokens,
        position=position,
        max_length=min(example.length, POSITIONS),
    )
