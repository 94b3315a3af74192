"""The additive fast weight programmer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.layers.heads import KeyValueHeads, init_heads, project_heads
from memcore.nn import wide
from memcore.ops.matrix.linear_attention import LinearAttentionRule
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("fast_weight_programmer")
@dataclass(frozen=True)
class FastWeightProgrammer(KeyValueHeads, RuleCell):
    """A net that writes the weights of another by outer products: linear attention without its divisor.

        phi(x) = elu(x) + 1;   q, k = phi(W_q x_t), phi(W_k x_t);   v = W_v x_t
        S_t = S_{t-1} + k v^T
        y_t = W_o S_t^T q

    State: ``S (heads, key_size, value_size)``, the fast weights; they grow with the number of writes.
    Cost per step ``O(heads * key_size * value_size)``; parallel over time in chunks.

    Source: Schmidhuber, Learning to Control Fast-Weight Memories, 1992; the form of Irie and Gershman,
    arXiv:2508.08435, section 2. Heads and W_o are those of Schlag et al., arXiv:2102.11174, whose delta rule
    is `DeltaNet`. Differs from `memax.FWP`, which reads along the values.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
    """

    @property
    def rule(self) -> LinearAttentionRule:
        return LinearAttentionRule()

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return init_heads(as_draw(key, dtype), self.in_features, self.heads, self.sizes)

    def initial_state(self, params: Params) -> State:
        return np.zeros((self.heads, *self.sizes))

    def embed(self, params: Params, x: Array) -> Inputs:
        u = {name: wide(value) for name, value in project_heads(params, x, self.heads).items()}
        return {**u, "q": nn.elu_plus_one(u["q"]), "k": nn.elu_plus_one(u["k"])}

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        return nn.linear(params["output"], nn.merge_heads(read))
