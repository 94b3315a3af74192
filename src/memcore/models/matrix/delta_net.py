"""DeltaNet."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, flag
from memcore.layers.convolved import convolved_heads, init_convolved
from memcore.layers.heads import KeyValueHeads
from memcore.layers.short_convolution import ShortConvolution
from memcore.nn import wide
from memcore.ops.matrix.delta_rule import DeltaRule
from memcore.registry import register
from memcore.types import Dtype


@register("delta_net")
@dataclass(frozen=True)
class DeltaNet(KeyValueHeads):
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

    conv_size: int = count(4, least=2)
    negative_eigenvalues: bool = flag(False)

    @property
    def parts(self) -> dict[str, Model]:
        h, (k, v) = self.heads, self.sizes
        rule = DeltaRule(scale=k**-0.5)
        return {
            "conv": ShortConvolution(h * (2 * k + v), self.conv_size),
            "memory": rule.of(v=(h, v), q=(h, k), k=(h, k), beta=(h,)),
        }

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, h = as_draw(key, dtype), self.in_features, self.heads
        k, v = self.sizes
        sizes = {"query": h * k, "key": h * k, "value": h * v}
        return {
            **init_convolved(draw, width, sizes, self.conv_size),
            "beta": nn.dense(draw, "beta", width, h),
            "norm": {"scale": draw.ones((v,))},
            "output": nn.dense(draw, "output", h * v, width),
        }

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        q, k, v = convolved_heads(params, xs, run, self.heads)
        beta = nn.sigmoid(wide(nn.linear(params["beta"], xs)))
        beta = 2.0 * beta if self.negative_eigenvalues else beta
        out = run("memory", {}, {"q": q, "k": k, "v": v, "beta": beta})
        return nn.linear(params["output"], nn.merge_heads(nn.rms_norm(params["norm"], out)))
