"""mLSTM."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count
from memcore.layers.block_linear import block_linear, init_block_linear
from memcore.layers.short_convolution import ShortConvolution
from memcore.nn import wide
from memcore.ops.matrix.mlstm import MLSTMRule
from memcore.registry import register
from memcore.types import Dtype


@register("mlstm")
@dataclass(frozen=True)
class MLSTM(Model):
    """The xLSTM's memory of matrices with exponential gates, between its projections up and down.

        x, z = W_up u_t;   c = silu(conv(x))
        q, k, v = W_q c, W_k c, W_v x, by blocks of channels
        i, f = exp(w_i . [q, k, v] + b_i), sigmoid(w_f . [q, k, v] + b_f), per head
        C_t = f C_{t-1} + i k v^T / sqrt(D),   n_t = f n_{t-1} + i k / sqrt(D)
        h = C_t^T q / max(|n_t . q|, 1)
        y_t = W_down ((LN(h) + skip * c) * silu(z)),   LN of each head, without a bias

    State: ``memory``, C ``(heads, D, D)`` and n ``(heads, D)`` divided by ``exp(m)``, and m ``(heads,)``; and
    ``conv``, the last ``conv_size - 1`` inputs of the convolution with their flags. D is ``inner / heads``,
    ``inner`` is ``expand * in_features``. Cost per step ``O(heads * D^2)``; parallel over time in chunks.

    Source: Beck et al., arXiv:2405.04517, equations 19 to 27 and the block of figure 10; initial values as in
    the authors' code (``NX-AI/xlstm``), which adds 1e-6 to the divisor, as here; its output projection is
    further divided by the depth of its stack.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        expand: inner width over ``in_features``.
        conv_size: length of the convolution.
        block_size: channels of a block of W_q, W_k and W_v.
    """

    heads: int = count(4)
    expand: int = count(2)
    conv_size: int = count(4, least=2)
    block_size: int = count(4)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("heads", "block_size"):
            if self.inner % getattr(self, name):
                raise ValueError(
                    f"{name} is {getattr(self, name)}, expected a divisor of {self.inner}, which is "
                    f"expand {self.expand} times in_features {self.in_features}"
                )

    @property
    def inner(self) -> int:
        """The width inside."""
        return self.expand * self.in_features

    @property
    def parts(self) -> dict[str, Model]:
        h, d = self.heads, self.inner // self.heads
        shapes = {"v": (h, d), "q": (h, d), "k": (h, d), "log_input": (h,), "log_forget": (h,)}
        return {
            "conv": ShortConvolution(self.inner, self.conv_size, bias=True),
            "memory": MLSTMRule(scale=d**-0.5).of(**shapes),
        }

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, inner, h = as_draw(key, dtype), self.in_features, self.inner, self.heads
        small, blocks = math.sqrt(2 / (5 * width)), inner // self.block_size
        return {
            "up": {"kernel": draw.child("up").normal("kernel", (width, 2 * inner), small)},
            "conv": self.parts["conv"].init(draw.child("conv")),
            **{
                name: init_block_linear(draw, name, blocks, self.block_size, small)
                for name in ("query", "key", "value")
            },
            "input_gate": {
                "kernel": draw.zeros((3 * inner, h)),
                "bias": draw.child("input_gate").normal("bias", (h,), 0.1),
            },
            "forget_gate": {
                "kernel": draw.zeros((3 * inner, h)),
                "bias": draw.array(np.linspace(3, 6, h), label="bias"),
            },
            "norm": {"scale": draw.ones((h, inner // h))},
            "skip": draw.ones((inner,), label="scale"),
            "down": {
                "kernel": draw.child("down").normal("kernel", (inner, width), 2 * width**-0.5)
            },
        }

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        xp, xz = namespace(xs), nn.linear(params["up"], xs)
        x, z = xz[..., : self.inner], xz[..., self.inner :]
        c = nn.silu(run("conv", params["conv"], x))
        inputs = {"query": c, "key": c, "value": x}
        qkv = [block_linear(params[name], u) for name, u in inputs.items()]
        gates = xp.concat(qkv, axis=-1)
        log_input, forget = (
            wide(nn.linear(params[name], gates)) for name in ("input_gate", "forget_gate")
        )
        q, k, v = (nn.split_heads(u, self.heads) for u in qkv)
        gated = {"log_input": log_input, "log_forget": -nn.softplus(-forget)}
        h = nn.layer_norm(
            params["norm"], run("memory", {}, {"q": q, "k": k, "v": v, **gated}), 1e-5
        )
        skip = xp.astype(params["skip"], c.dtype, copy=False) * c
        return nn.linear(params["down"], (nn.merge_heads(h) + skip) * nn.silu(z))
