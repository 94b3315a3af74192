"""DeltaProduct, gated or not."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, flag
from memcore.layers.convolved import HEADS, convolved, init_convolved
from memcore.layers.decay import init_decay, log_decay
from memcore.layers.heads import KeyValueHeads
from memcore.layers.short_convolution import ShortConvolution
from memcore.nn import wide
from memcore.ops.matrix.delta_product import DeltaProductRule
from memcore.registry import register
from memcore.types import Dtype


@register("delta_product")
@dataclass(frozen=True)
class DeltaProduct(KeyValueHeads):
    """n writes of the delta rule per step: a transition that is a product of n Householder factors.

        q = silu(conv(W_q x));   k_j, v_j = silu(conv(W_k x)), silu(conv(W_v x));   q, k_j of norm 1
        b_j = 2 sigmoid(W_b x), or half of that without ``negative_eigenvalues``
        S_0 = a_t S_{t-1};   S_j = (I - b_j k_j k_j^T) S_{j-1} + b_j k_j v_j^T,   j = 1, .., n;   S_t = S_n
        y_t = W_o RMSNorm(S_t^T q_t / sqrt(K))
        gated: a_t = exp(-exp(A_log) softplus(W_a x_t + dt_bias)), and the norm times silu(W_g x_t);
        else a_t = 1

    State: ``memory (heads, K, V)``, and ``conv``, the last ``conv_size - 1`` inputs of the convolutions with
    their flags. Cost per step ``O(n * heads * K * V)``; parallel over time in chunks.

    Source: Siems et al., arXiv:2502.10297; the layer as in flash-linear-attention. Differs from
    `memax.DeltaProduct`, which multiplies the factors elementwise and on the values.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        writes: n.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
        conv_size: length of the convolutions, at least 2.
        gated: whether the memory decays, and the output has a gate.
        negative_eigenvalues: whether b is in (0, 2), so that two writes can rotate.
    """

    writes: int = count(2)
    conv_size: int = count(4, least=2)
    gated: bool = flag(False)
    negative_eigenvalues: bool = flag(True)

    @property
    def parts(self) -> dict[str, Model]:
        n, h, (k, v) = self.writes, self.heads, self.sizes
        shapes = {"v": (n, h, v), "q": (h, k), "k": (n, h, k), "beta": (n, h)}
        shapes |= {"log_decay": (h,)} if self.gated else {}
        return {
            "conv": ShortConvolution(h * (k + n * (k + v)), self.conv_size),
            "memory": DeltaProductRule(scale=k**-0.5).of(**shapes),
        }

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, h, n = as_draw(key, dtype), self.in_features, self.heads, self.writes
        k, v = self.sizes
        sizes = {"query": h * k, "key": n * h * k, "value": n * h * v}
        params = {
            **init_convolved(draw, width, sizes, self.conv_size),
            "beta": nn.dense(draw, "beta", width, n * h),
            "norm": {"scale": draw.ones((v,))},
            "output": nn.dense(draw, "output", h * v, width),
        }
        if self.gated:
            params["gate"] = nn.dense(draw, "gate", width, h * v)
            params["decay"] = nn.dense(draw, "decay", width, h)
            params |= init_decay(draw, h)
        return params

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        n, h = self.writes, self.heads
        q, k, v = convolved(params, HEADS, xs, run)
        q, k, v = nn.split_heads(q, h), self._split(k), self._split(v)
        beta = nn.split_heads(nn.sigmoid(wide(nn.linear(params["beta"], xs))), n)
        inputs = {
            "q": nn.l2_normalise(wide(q)),
            "k": nn.l2_normalise(wide(k)),
            "v": v,
            "beta": 2.0 * beta if self.negative_eigenvalues else beta,
        }
        if self.gated:
            inputs["log_decay"] = log_decay(params, wide(nn.linear(params["decay"], xs)))
        out = nn.rms_norm(params["norm"], run("memory", {}, inputs))
        if self.gated:
            out = out * nn.silu(nn.split_heads(nn.linear(params["gate"], xs), h))
        return nn.linear(params["output"], nn.merge_heads(out))

    def _split(self, x: Array) -> Array:
        """``(..., n * heads * size)`` to ``(..., n, heads, size)``."""
        n, h = self.writes, self.heads
        return namespace(x).reshape(x, (*x.shape[:-1], n, h, x.shape[-1] // (n * h)))
