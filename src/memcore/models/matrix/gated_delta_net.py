"""Gated DeltaNet."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.layers.decay import init_decay, log_decay
from memcore.layers.delta_heads import DeltaHeads
from memcore.nn import wide
from memcore.registry import register
from memcore.types import Dtype


@register("gated_delta_net")
@dataclass(frozen=True)
class GatedDeltaNet(DeltaHeads):
    """The gated delta rule with short convolutions and an output gate.

        q, k, v = silu(conv(W_q x)), silu(conv(W_k x)), silu(conv(W_v x));   q, k of norm 1
        a_t = exp(-exp(A_log) softplus(W_a x_t + dt_bias)),   b_t = sigmoid(W_b x_t)
        S_t = a_t (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T
        y_t = W_o (RMSNorm(S_t^T q_t / sqrt(K)) * silu(W_g x_t))

    State: ``memory (heads, K, V)``, and ``conv``, the last ``conv_size - 1`` inputs of the convolutions
    (those of queries, keys and values side by side) with their flags. Cost per step ``O(heads * K * V)``;
    parallel over time in chunks.

    Source: Yang et al., Gated Delta Networks, arXiv:2412.06464; chunks as in arXiv:2406.06484;
    negative eigenvalues: Grazzi et al., arXiv:2411.12537.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None (the paper doubles it).
        conv_size: length of the convolutions, at least 2.
        negative_eigenvalues: whether b is ``2 sigmoid``: eigenvalues of the transition in (-1, 1), which
            tracks states such as parity.
    """

    @property
    def parts(self) -> dict[str, Model]:
        return self.delta_parts(log_decay=(self.heads,))

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, h = as_draw(key, dtype), self.in_features, self.heads
        return {
            **super().init(draw),
            "gate": nn.dense(draw, "gate", width, h * self.sizes[1]),
            "decay": nn.dense(draw, "decay", width, h),
            **init_decay(draw, h),
        }

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        inputs = self.delta_inputs(params, xs, run)
        inputs["log_decay"] = log_decay(params, wide(nn.linear(params["decay"], xs)))
        out = nn.rms_norm(params["norm"], run("memory", {}, inputs))
        gate = nn.split_heads(nn.linear(params["gate"], xs), self.heads)
        return nn.linear(params["output"], nn.merge_heads(out * nn.silu(gate)))
