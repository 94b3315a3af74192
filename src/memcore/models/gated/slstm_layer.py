"""The xLSTM's layer of an sLSTM."""

from __future__ import annotations

import math
from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count
from memcore.layers.block_linear import block_linear, init_block_linear
from memcore.layers.exponential_gates import GivenGates
from memcore.layers.head_wise import check_heads
from memcore.layers.short_convolution import ShortConvolution
from memcore.registry import register
from memcore.types import Dtype

GATES = ("input_gate", "forget_gate", "candidate", "output_gate")


@register("slstm_layer")
@dataclass(frozen=True)
class SLSTMLayer(Model):
    """An `SLSTM` whose input and forget gates read a convolution, with a norm of each head behind it.

        c = silu(conv(x_t))
        i, f = W_i c, W_f c,   z, o = W_z x_t, W_o x_t,   each in one block per head
        h_t = sLSTM(i, f, z, o)
        y_t = LN(h_t) of each head, without a bias

    With ``inner`` linear maps stand around all of it: x_t is ``W_in x_t``, and the output ``W_out y_t``.

    State: ``memory``, ``(h, c, n, m)`` of an `SLSTM`, and ``conv``, the last ``conv_size - 1`` inputs of the
    convolution with their flags. Cost per step ``O(inner^2 / heads)``; sequential in time.

    Source: Beck et al., xLSTM, arXiv:2405.04517, figure 9, where ``Block(SLSTMLayer(d), mlp="glu",
    mlp_factor=4 / 3)`` is the whole block; initial values as in the authors' code (``NX-AI/xlstm``): those of
    `SLSTM`, the blocks normal of variance ``2 / (5 inner)``. The maps of ``inner`` are memorax'.

    Args:
        in_features: width of inputs and outputs.
        heads: parts of the state that do not see each other.
        conv_size: length of the convolution.
        inner: width inside, between a map from the inputs and one to the outputs; None for neither.
    """

    heads: int = count(4)
    conv_size: int = count(4, least=2)
    inner: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.heads, self.size, "inner" if self.inner else "in_features")

    @property
    def size(self) -> int:
        """The width inside."""
        return self.inner or self.in_features

    @property
    def memory(self) -> GivenGates:
        """The sLSTM."""
        return GivenGates(4 * self.size, self.size, self.heads)

    @property
    def parts(self) -> dict[str, Model]:
        conv = ShortConvolution(self.size, self.conv_size, bias=True)
        return {"conv": conv, "memory": self.memory}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, n, heads = as_draw(key, dtype), self.in_features, self.size, self.heads
        std = math.sqrt(2 / (5 * n))
        params = {
            "conv": self.parts["conv"].init(draw.child("conv")),
            **{name: init_block_linear(draw, name, heads, n // heads, std) for name in GATES},
            "memory": self.memory.init(draw.child("memory")),
            "norm": {"scale": draw.ones((heads, n // heads))},
        }
        if self.inner:
            params["up"] = nn.dense(draw, "up", width, n)
            params["down"] = nn.dense(draw, "down", n, width)
        return params

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        x = nn.linear(params["up"], xs) if self.inner else xs
        c = nn.silu(run("conv", params["conv"], x))
        read = zip(GATES, (c, c, x, x), strict=True)
        gates = [block_linear(params[name], u) for name, u in read]
        h = run("memory", params["memory"], namespace(x).concat(gates, axis=-1))
        y = nn.merge_heads(nn.layer_norm(params["norm"], nn.split_heads(h, self.heads), 1e-5))
        return nn.linear(params["down"], y) if self.inner else y
