"""What the networks with one write of the delta rule per step share."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, flag
from memcore.layers.convolved import convolved_heads, init_convolved
from memcore.layers.heads import KeyValueHeads
from memcore.layers.short_convolution import ShortConvolution
from memcore.nn import wide
from memcore.ops.matrix.delta_rule import DeltaRule
from memcore.types import Dtype


@dataclass(frozen=True)
class DeltaHeads(KeyValueHeads):
    """Queries, keys and values behind one short convolution, and strengths of writing."""

    conv_size: int = count(4, least=2)
    negative_eigenvalues: bool = flag(False)

    def delta_parts(self, **gates: tuple[int, ...]) -> dict[str, Model]:
        """``conv`` and ``memory``, whose rule also takes ``gates`` of these shapes."""
        h, (k, v) = self.heads, self.sizes
        rule = DeltaRule(scale=k**-0.5)
        return {
            "conv": ShortConvolution(h * (2 * k + v), self.conv_size),
            "memory": rule.of(v=(h, v), q=(h, k), k=(h, k), beta=(h,), **gates),
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

    def delta_inputs(self, params: Params, xs: Array, run: Parts) -> Inputs:
        """q, k, v and beta of every step, for the rule."""
        q, k, v = convolved_heads(params, xs, run, self.heads)
        beta = nn.sigmoid(wide(nn.linear(params["beta"], xs)))
        beta = 2.0 * beta if self.negative_eigenvalues else beta
        return {"q": q, "k": k, "v": v, "beta": beta}
