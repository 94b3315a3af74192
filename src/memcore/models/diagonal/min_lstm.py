"""minLSTM: an LSTM whose gates do not see the state, and sum to one."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params
from memcore.layers.hidden_state import HiddenState
from memcore.models.diagonal.min_gru import positive
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("min_lstm")
@dataclass(frozen=True)
class MinLSTM(HiddenState, RuleCell):
    """A gated average of positive candidates with a gate for what is kept and one for what is written.

        f, i = sigmoid(W_f x_t), sigmoid(W_i x_t)
        h_t = f / (f + i) * h_{t-1} + i / (f + i) * g(W_h x_t),    y_t = h_t
        g(v) = v + 1/2 for v >= 0, else sigmoid(v)

    State: ``(hidden_size,)``. Cost per step ``O(in_features * hidden_size)``; parallel over time in
    ``O(log T)`` rounds.

    Source: Feng et al., Were RNNs All We Needed?, arXiv:2410.01201, appendix B.3 (in log space there; the
    same numbers). The recurrence runs on the numbers themselves, so an empty memory is 0. Initial values as
    torch draws linear maps.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
    """

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence()

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, sizes = as_draw(key, dtype), (self.in_features, self.hidden_size)
        names = ("forget", "input", "candidate")
        return {name: nn.uniform_dense(draw, name, *sizes) for name in names}

    def embed(self, params: Params, x: Array) -> Inputs:
        names = ("forget", "input", "candidate")
        f, i, new = (wide(nn.linear(params[name], x)) for name in names)
        log_ratio = nn.softplus(-f) - nn.softplus(-i)  # log i / f, so neither quotient is 0 / 0
        return {"a": nn.sigmoid(-log_ratio), "b": nn.sigmoid(log_ratio) * positive(new)}
