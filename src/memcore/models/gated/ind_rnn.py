"""Independently Recurrent Neural Network."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, GatedCell, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.hidden_state import HiddenState
from memcore.nn import wide
from memcore.registry import register
from memcore.types import Dtype


@register("ind_rnn")
@dataclass(frozen=True)
class IndRNN(HiddenState, GatedCell):
    """A recurrent network whose units do not see each other.

        h_t = relu(W x_t + b + u * h_{t-1}),    y_t = h_t,    |u| <= 2^(1 / horizon)

    State: ``(hidden_size,)``. Cost per step ``O(in_features * hidden_size)``; sequential in time.

    Source: Li et al., arXiv:1803.04831. u is clipped to the paper's bound (with gamma = 2), under which no
    gradient more than doubles within ``horizon`` steps, and begins uniform between 0 and it. The paper
    leaves W and b open: W is LeCun-normal, b zero.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
        horizon: steps within which a gradient at most doubles.
    """

    horizon: int = count(1024)

    @property
    def bound(self) -> float:
        """The largest ``|u|``."""
        return float(2 ** (1 / self.horizon))

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n = as_draw(key, dtype), self.hidden_size
        return {
            "input": nn.dense(draw, "input", self.in_features, n, bias=True),
            "u": draw.uniform("u", (n,), 0.0, self.bound, label="recurrence"),
        }

    def embed(self, params: Params, x: Array) -> Inputs:
        return wide(nn.linear(params["input"], x))

    def project(self, params: Params, state: State, inputs: Inputs) -> Array:
        xp = namespace(state)
        u = xp.astype(params["u"], state.dtype, copy=False)
        return xp.clip(u, -self.bound, self.bound) * state

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        return nn.relu(inputs + hidden)
