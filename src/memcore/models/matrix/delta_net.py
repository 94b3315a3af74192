"""DeltaNet."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.cell import Array, Model, Params
from memcore.engine import Parts
from memcore.layers.delta_heads import DeltaHeads
from memcore.registry import register


@register("delta_net")
@dataclass(frozen=True)
class DeltaNet(DeltaHeads):
    """The delta rule behind short convolutions: a write first takes away what stands at its key.

        q, k, v = silu(conv(W_q x)), silu(conv(W_k x)), silu(conv(W_v x));   q, k of norm 1
        b_t = sigmoid(W_b x_t), or twice that with ``negative_eigenvalues``
        S_t = (I - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T
        y_t = W_o RMSNorm(S_t^T q_t / sqrt(K))

    State: ``memory (heads, K, V)``, and ``conv``, the last ``conv_size - 1`` inputs of the convolutions
    (those of queries, keys and values side by side) with their flags. Cost per step ``O(heads * K * V)``;
    parallel over time in chunks.

    Source: Schlag et al., arXiv:2102.11174, in the parametrisation of Yang et al., arXiv:2406.06484; negative
    eigenvalues: Grazzi et al., arXiv:2411.12537. Differs from `memax.DeltaNet`, which applies the transition
    to the values.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
        conv_size: length of the convolutions, at least 2.
        negative_eigenvalues: whether b is in (0, 2): eigenvalues of the transition in (-1, 1), which tracks
            states such as parity.
    """

    @property
    def parts(self) -> dict[str, Model]:
        return self.delta_parts()

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        out = run("memory", {}, self.delta_inputs(params, xs, run))
        return nn.linear(params["output"], nn.merge_heads(nn.rms_norm(params["norm"], out)))
