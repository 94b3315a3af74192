"""NMax."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore.backend import as_draw, namespace, stop_gradient
from memcore.cell import Array, Element, Inputs, Key, Memoroid, Params, State
from memcore.nn import wide
from memcore.registry import register
from memcore.types import Dtype


@register("n_max")
@dataclass(frozen=True)
class NMax(Memoroid):
    """The largest input so far of every channel, faded and normalised.

        h_t = max(|d| h_{t-1}, x_t),   h_{-1} = 0
        y_t = h_t / sum(h_t), or 0 where the sum is

    The recurrence of the semiring (max, x) of numbers that are not negative: inputs below 0 never show.
    Element ``(d, x)``; ``(d, x) . (e, z) = (e d, max(e x, z))``.

    State: ``h (in_features,)``. Cost per step ``O(in_features)``; parallel over time.

    Source: `memax.NMax`; there is no paper. d begins as 1, as there. Differs from it: the decay is part of
    the element, without which the operator is associative for d = 1 only, and 0 / 0 is 0.

    Args:
        in_features: width of inputs, state and outputs.
    """

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return {"decay": as_draw(key, dtype).ones((self.in_features,), label="recurrence")}

    def initial_state(self, params: Params) -> State:
        return np.zeros(self.in_features)

    def embed(self, params: Params, x: Array) -> Inputs:
        return wide(x)

    def lift(self, params: Params, inputs: Inputs) -> Element:
        xp = namespace(inputs)
        decay = xp.abs(xp.astype(params["decay"], inputs.dtype, copy=False))
        return xp.broadcast_to(decay, inputs.shape), inputs

    def binary_op(self, params: Params, a: Element, b: Element) -> Element:
        return b[0] * a[0], self.act(params, a[1], b)

    def act(self, params: Params, state: State, element: Element) -> State:
        decay, x = element
        faded = decay * state
        # Not `maximum`, whose gradient halves at a tie: halves depend on the order of the joins.
        return namespace(x).where(x >= faded, x, faded)

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        xp = namespace(state)
        # Of the largest, whatever it is: the square of a small sum, which the gradient divides by, is 0.
        shares = state / _or_one(stop_gradient(xp.max(state, axis=-1, keepdims=True)))
        return shares / _or_one(xp.sum(shares, axis=-1, keepdims=True))


def _or_one(x: Array) -> Array:
    """x, or 1 where it is 0."""
    xp = namespace(x)
    return xp.where(x == 0, xp.ones_like(x), x)
