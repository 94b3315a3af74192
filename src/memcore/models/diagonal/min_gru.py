"""minGRU: a GRU whose gates do not see the state."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Inputs, Key, Params
from memcore.layers.hidden_state import HiddenState
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


def positive(x: Array) -> Array:
    """``x + 1/2`` where x is not negative, else ``sigmoid(x)``: what the papers' log space allows."""
    return namespace(x).where(x >= 0, x + 0.5, nn.sigmoid(x))


@register("min_gru")
@dataclass(frozen=True)
class MinGRU(HiddenState, RuleCell):
    """A gated average of positive candidates, parallel over time.

        z_t = sigmoid(W_z x_t)
        h_t = (1 - z_t) * h_{t-1} + z_t * g(W_h x_t),    y_t = h_t
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
        return {name: nn.uniform_dense(draw, name, *sizes) for name in ("update", "candidate")}

    def embed(self, params: Params, x: Array) -> Inputs:
        z, new = (wide(nn.linear(params[name], x)) for name in ("update", "candidate"))
        return {"a": nn.sigmoid(-z), "b": nn.sigmoid(z) * positive(new)}
