"""Attention over a window, or over all that came before in a cache."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count, flag
from memcore.layers.heads import head_sizes, init_heads, project_heads
from memcore.ops.rule import RuleCell
from memcore.ops.window.positions import check_position
from memcore.ops.window.window_attention import CachedAttention, WindowAttention
from memcore.registry import register
from memcore.types import Dtype


@register("attention")
@dataclass(frozen=True)
class Attention(RuleCell):
    """Multi-head causal softmax attention over the last ``window`` inputs, the current one included.

        q, k, v = W_q x_t, W_k x_t, W_v x_t
        y_t = W_o sum_i softmax_i(q_t . k_i / sqrt(K) + bias) v_i,   t - window < i <= t

    Without a window it sees all inputs since the start, at most ``capacity`` of them: one more raises on
    NumPy and gives NaN on JAX.

    State: keys ``(W, heads, K)``, values ``(W, heads, V)``, filled ``(W,)`` bool, W being ``window`` or
    ``capacity + 1``. Cost per step ``O(W * heads * (K + V))``; parallel over time.

    Source: Vaswani et al., arXiv:1706.03762; RoPE: arXiv:2104.09864; ALiBi: arXiv:2108.12409; sinks:
    arXiv:2309.17453, a logit per head as in gpt-oss; persistent tokens: arXiv:2501.00663, 3.3.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        window: how many inputs a query sees; None for all, with a ``capacity``.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
        position: ``"rope"``, ``"alibi"`` or None.
        capacity: places of the cache of full attention; None with a window.
        sinks: whether each head learns the logit of one more item, whose value is 0.
        bias: whether the four projections have biases.
        persistent: number of trained tokens without a place, which every query sees beside the window.
    """

    heads: int = count(4)
    window: int | None = count(64, optional=True)
    key_size: int | None = count(None)
    value_size: int | None = count(None)
    position: str | None = "rope"
    capacity: int | None = count(None)
    sinks: bool = flag(False)
    bias: bool = flag(False)
    persistent: int = count(0, least=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_position(self.position, self.sizes[0])
        if (self.window is None) == (self.capacity is None):
            raise ValueError(
                f"window is {self.window} and capacity {self.capacity}, expected exactly one of them: "
                "attention over all inputs has window None and a capacity"
            )

    @property
    def sizes(self) -> tuple[int, int]:
        """K and V per head."""
        return head_sizes(self.in_features, self.heads, self.key_size, self.value_size)

    @property
    def rule(self) -> WindowAttention:
        if self.capacity is None:
            return WindowAttention(self.window or 0, self.position, None, *self._more)
        return CachedAttention(self.capacity + 1, self.position, None, *self._more)

    @property
    def _more(self) -> tuple[bool, bool]:
        return self.sinks, self.persistent > 0

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        params = init_heads(draw, self.in_features, self.heads, self.sizes, self.bias)
        if self.sinks:
            params["sinks"] = draw.zeros((self.heads,), label="bias")
        if self.persistent:
            shape = (self.persistent, self.in_features)
            params["persistent"] = draw.normal("persistent", shape, 0.02, label="matrix")
        return params

    def initial_state(self, params: Params) -> State:
        places = self.rule.length
        keys, values = ((places, self.heads, size) for size in self.sizes)
        return (np.zeros(keys), np.zeros(values), np.zeros(places, dtype=bool))

    def embed(self, params: Params, x: Array) -> Inputs:
        inputs = project_heads(params, x, self.heads)
        if self.sinks:
            shape = (*(1,) * (x.ndim - 1), self.heads)
            inputs["sinks"] = namespace(x).reshape(params["sinks"], shape)
        if self.persistent:
            own = project_heads(
                params, namespace(x).astype(params["persistent"], x.dtype), self.heads
            )
            lead = (1,) * (x.ndim - 1)
            inputs |= {
                f"persistent_{n}": namespace(x).reshape(own[n], (*lead, *own[n].shape))
                for n in "kv"
            }
        return inputs

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        return nn.linear(params["output"], nn.merge_heads(read))
