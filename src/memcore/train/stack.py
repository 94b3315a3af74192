"""The network around a model: from a task's inputs to the scores of its classes."""

from typing import Literal

from memcore.cell import Model
from memcore.networks import ResidualStack
from memcore.tasks import Task


def network(
    task: Task,
    model: Model | tuple[Model, ...],
    *,
    layers: int = 2,
    position: Literal["learned"] | None = "learned",
) -> ResidualStack:
    """`layers` residual blocks around `model`, whose `in_features` is the width of the stack.

    With `position="learned"` every step knows its number since the last start.
    """
    return ResidualStack(
        task.in_features,
        model=model,
        layers=layers,
        out_features=task.out_features,
        tokens=task.tokens,
        position=position,
        max_length=task.length,
    )
