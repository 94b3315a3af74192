"""No memory at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore.cell import Array, Inputs, Key, Params, State
from memcore.ops.rule import RuleCell
from memcore.ops.window.frame_stack import Frames
from memcore.registry import register
from memcore.types import Dtype


@register("identity")
@dataclass(frozen=True)
class Identity(RuleCell):
    """What comes in goes out: ``y_t = x_t``, the baseline that remembers nothing.

    In a `ResidualStack` it leaves a network that is pointwise in time. It is a window of one input.

    State: the last input ``(1, in_features)``, which nothing reads, and whether there is one, ``(1,)`` bool:
    so what is not finite stays known to be so until the next start, as in every model. Cost per step
    ``O(in_features)``; parallel over time. There are no parameters.

    Source: none; also known as `memax.Identity` and `memorax.Identity`.

    Args:
        in_features: width of inputs and outputs.
    """

    @property
    def rule(self) -> Frames:
        return Frames(length=1)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return {}

    def initial_state(self, params: Params) -> State:
        return np.zeros((1, self.in_features)), np.zeros(1, dtype=bool)

    def embed(self, params: Params, x: Array) -> Inputs:
        return {"x": x}
