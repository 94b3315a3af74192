"""Linear attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.heads import head_sizes, init_heads, project_heads
from memcore.nn import wide
from memcore.ops.matrix.linear_attention import LinearAttentionRule
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("linear_attention")
@dataclass(frozen=True)
class LinearAttention(RuleCell):
    """Multi-head attention with a positive feature map in place of the softmax.

        phi(x) = elu(x) + 1;   q, k = phi(W_q x_t), phi(W_k x_t);   v = W_v x_t
        S_t = S_{t-1} + k v^T,   z_t = z_{t-1} + k
        y_t = W_o (S_t^T q / (z_t . q + 1e-10))

    State: ``S (heads, key_size, value_size)`` and ``z (heads, key_size)``. Cost per step
    ``O(heads * key_size * value_size)``; parallel over time in chunks.

    Source: Katharopoulos et al., Transformers are RNNs, arXiv:2006.16236, equations 16 to 20.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
    """

    heads: int = count(4)
    key_size: int | None = count(None)
    value_size: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.sizes

    @property
    def sizes(self) -> tuple[int, int]:
        """K and V per head."""
        return head_sizes(self.in_features, self.heads, self.key_size, self.value_size)

    @property
    def rule(self) -> LinearAttentionRule:
        return LinearAttentionRule(normalise=True)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return init_heads(as_draw(key, dtype), self.in_features, self.heads, self.sizes)

    def initial_state(self, params: Params) -> State:
        k, v = self.sizes
        return (np.zeros((self.heads, k, v)), np.zeros((self.heads, k)))

    def embed(self, params: Params, x: Array) -> Inputs:
        u = {name: wide(value) for name, value in project_heads(params, x, self.heads).items()}
        return {**u, "q": nn.elu_plus_one(u["q"]), "k": nn.elu_plus_one(u["k"])}

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        return nn.linear(params["output"], nn.merge_heads(read))
