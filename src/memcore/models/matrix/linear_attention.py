"""Linear attention."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import flag
from memcore.layers.heads import KeyValueHeads, init_heads, project_heads
from memcore.nn import wide
from memcore.ops.matrix.linear_attention import LinearAttentionRule
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("linear_attention")
@dataclass(frozen=True)
class LinearAttention(KeyValueHeads, RuleCell):
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
        norm: whether an RMSNorm over all heads stands before ``W_o``, as in memorax.
        bias: whether the four projections have biases.
    """

    norm: bool = flag(False)
    bias: bool = flag(False)

    @property
    def rule(self) -> LinearAttentionRule:
        return LinearAttentionRule(normalise=True)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        params = init_heads(draw, self.in_features, self.heads, self.sizes, self.bias)
        if self.norm:
            width = self.heads * self.sizes[1]
            params["norm"] = {"scale": draw.child("norm").ones((width,), label="scale")}
        return params

    def initial_state(self, params: Params) -> State:
        k, v = self.sizes
        return (np.zeros((self.heads, k, v)), np.zeros((self.heads, k)))

    def embed(self, params: Params, x: Array) -> Inputs:
        u = {name: wide(value) for name, value in project_heads(params, x, self.heads).items()}
        return {**u, "q": nn.elu_plus_one(u["q"]), "k": nn.elu_plus_one(u["k"])}

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        read = nn.merge_heads(read)
        read = nn.rms_norm(params["norm"], read) if self.norm else read
        return nn.linear(params["output"], read)
