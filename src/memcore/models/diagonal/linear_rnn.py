"""The gated linear recurrent network of Martin and Cundy."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Inputs, Key, Params
from memcore.fields import flag
from memcore.layers.hidden_state import HiddenState
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("linear_rnn")
@dataclass(frozen=True)
class LinearRNN(HiddenState, RuleCell):
    """Gated impulse linear recurrence, or without gates a running sum.

        g_t = sigmoid(U x_t + b_g)
        h_t = g_t * h_{t-1} + (1 - g_t) * tanh(V x_t + b),    y_t = h_t
        h_t = h_{t-1} + V x_t + b                             without gates

    State: ``(hidden_size,)``. Cost per step ``O(in_features * hidden_size)``; parallel over time in
    ``O(log T)`` rounds.

    Source: Martin and Cundy, Parallelizing Linear Recurrent Neural Nets Over Sequence Length,
    arXiv:1709.04057, section 3 (GILR). The paper leaves the initial values open: kernels are LeCun-normal,
    biases zero.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
        gates: whether there are any.
    """

    gates: bool = flag(True)

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence()

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        names = ("impulse", "gate") if self.gates else ("impulse",)
        sizes = (self.in_features, self.hidden_size)
        return {name: nn.dense(draw, name, *sizes, bias=True) for name in names}

    def embed(self, params: Params, x: Array) -> Inputs:
        impulse = wide(nn.linear(params["impulse"], x))
        xp = namespace(impulse)
        if not self.gates:
            return {"a": xp.ones_like(impulse), "b": impulse}
        gate = wide(nn.linear(params["gate"], x))
        # sigmoid(-x) is 1 - sigmoid(x), exact where the gate is nearly 1.
        return {"a": nn.sigmoid(gate), "b": nn.sigmoid(-gate) * xp.tanh(impulse)}
