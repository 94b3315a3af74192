"""Learned positions, which count from the last start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace, running_max
from memcore.cell import Array, Element, Inputs, Key, Memoroid, Params, Starts, State
from memcore.fields import count


@dataclass(frozen=True)
class LearnedPositions(Memoroid):
    """Adds a vector for the number of the step since the last start.

        y_t = x_t + E[min(n_t, max_length - 1)],   n_t = 0, 1, ... since the start

    State: int32, the number of valid steps since the last start.

    Args:
        in_features: width of inputs, outputs and vectors.
        max_length: number of vectors; all later steps share the last one.
    """

    max_length: int = count(1024)

    reads_previous: ClassVar[bool] = True

    @property
    def methods(self) -> tuple[str, ...]:
        return ("sequential", "fused")  # a stack is not parallel in time for its positions

    def init(self, key: Key, dtype: str = "float32") -> Params:
        shape = (self.max_length, self.in_features)
        return {"embedding": as_draw(key, dtype).normal("embedding", shape, 0.1)}

    def initial_state(self, params: Params) -> State:
        return np.zeros((), np.int32)

    def lift(self, params: Params, inputs: Inputs) -> Element:
        xp = namespace(inputs)
        return xp.ones_like(inputs[..., 0], dtype=xp.int32)

    def binary_op(self, params: Params, a: Element, b: Element) -> Element:
        return a + b

    def act(self, params: Params, state: State, element: Element) -> State:
        return state + element

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        place = namespace(read).minimum(read, self.max_length - 1)
        return inputs + nn.embed(params, place, inputs.dtype)

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """By a running sum, and where it stood at the last start."""
        xp, axis = namespace(inputs), inputs.ndim - 2
        used = self.lift(params, inputs) if valid is None else xp.astype(valid, xp.int32)
        total = xp.cumulative_sum(used, axis=-1, dtype=xp.int32)
        before, begin = total - used, -state[..., None]
        if starts is not None:
            begin = running_max(xp.where(starts, before, begin), axis)
        return (total - begin)[..., -1], before - begin
