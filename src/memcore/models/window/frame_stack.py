"""Frame stacking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count
from memcore.ops.rule import RuleCell
from memcore.ops.window.frame_stack import Frames
from memcore.registry import register
from memcore.types import Dtype


@register("frame_stack")
@dataclass(frozen=True)
class FrameStack(RuleCell):
    """The last ``window`` inputs, the current one included, side by side.

        y_t = [x_{t-W+1}, .., x_{t-1}, x_t],   zeros for those before the start

    State: the inputs ``(window, in_features)``, oldest first, and which are filled, ``(window,)`` bool. Cost
    per step ``O(window * in_features)``; parallel over time. There are no parameters.

    Source: Mnih et al., Human-level control through deep reinforcement learning, 2015, where four frames
    are stacked. Also known as `memax.Stack`.

    Args:
        in_features: width of the inputs.
        window: W, how many inputs are kept.
    """

    window: int = count(4)

    @property
    def out_features(self) -> int:
        return self.window * self.in_features

    @property
    def rule(self) -> Frames:
        return Frames(length=self.window)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return {}

    def initial_state(self, params: Params) -> State:
        return np.zeros((self.window, self.in_features)), np.zeros(self.window, dtype=bool)

    def embed(self, params: Params, x: Array) -> Inputs:
        return {"x": x}
