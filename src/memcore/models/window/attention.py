"""Sliding-window attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Params, State
from memcore.ops.rule import RuleCell
from memcore.ops.window.positions import check_position
from memcore.ops.window.window_attention import WindowAttention
from memcore.registry import register


@register("attention")
@dataclass(frozen=True)
class Attention(RuleCell):
    """Multi-head causal softmax attention over the last ``window`` inputs, the current one included.

        q, k, v = W_q x_t, W_k x_t, W_v x_t
        y_t = W_o sum_i softmax_i(q_t . k_i / sqrt(K) + bias) v_i,   t - window < i <= t

    State: keys ``(window, heads, K)``, values ``(window, heads, V)``, filled ``(window,)`` bool. Cost per
    step ``O(window * heads * (K + V))``; parallel over time.

    Source: Vaswani et al., arXiv:1706.03762; RoPE: arXiv:2104.09864; ALiBi: arXiv:2108.12409.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        window: how many inputs a query sees.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
        position: ``"rope"``, ``"alibi"`` or None.
    """

    heads: int = 4
    window: int = 64
    key_size: int | None = None
    value_size: int | None = None
    position: str | None = "rope"

    rule_name: ClassVar[str] = "window_attention"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_position(self.position, nn.head_sizes(self)[0])

    @property
    def rule(self) -> WindowAttention:
        return WindowAttention(length=self.window, position=self.position)

    def init(self, key: Any, dtype: Any = "float32") -> Params:
        return nn.init_heads(self, as_draw(key, dtype))

    def initial_state(self, params: Params) -> State:
        k, v = nn.head_sizes(self)
        keys, values = ((self.window, self.heads, size) for size in (k, v))
        return (np.zeros(keys), np.zeros(values), np.zeros(self.window, dtype=bool))

    def embed(self, params: Params, x: Array) -> Any:
        return nn.project_heads(params, x, self.heads)

    def output(self, params: Params, read: Any, inputs: Any) -> Array:
        return nn.linear(params["output"], nn.merge_heads(read))
