"""Mamba."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count
from memcore.layers.short_convolution import ShortConvolution
from memcore.models.diagonal.s6 import S6
from memcore.registry import register
from memcore.types import Dtype


@register("mamba")
@dataclass(frozen=True)
class Mamba(Model):
    """A selective state space model behind a short convolution, with a gate: the mixer of a Mamba block.

        x, z = W_in u_t
        x = silu(conv(x))
        y_t = W_out (S6(x) * silu(z))

    State: that of the convolution, ``(conv_size - 1, inner)`` with its flags, and of the S6,
    ``(state_size, inner)``; ``inner`` is ``expand * in_features``. Cost per step ``O(inner * state_size)``;
    parallel over time in chunks.

    Source: Gu and Dao, arXiv:2312.00752, figure 3; initial values as in the authors' code
    (``state-spaces/mamba``).

    Args:
        in_features: width of inputs and outputs.
        state_size: N, states per channel.
        expand: inner width over ``in_features``.
        conv_size: length of the convolution.
        rank: width of the step sizes' bottleneck; a sixteenth of ``in_features``, rounded up, if None.
    """

    state_size: int = count(16)
    expand: int = count(2)
    conv_size: int = count(4, least=2)
    rank: int | None = count(None)

    @property
    def inner(self) -> int:
        """The width inside."""
        return self.expand * self.in_features

    @property
    def parts(self) -> dict[str, Model]:
        rank = self.rank or -(-self.in_features // 16)
        return {
            "conv": ShortConvolution(self.inner, self.conv_size, bias=True),
            "ssm": S6(self.inner, self.state_size, rank),
        }

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.in_features
        return {
            "input": nn.uniform_dense(draw, "input", width, 2 * self.inner),
            **{name: part.init(draw.child(name)) for name, part in self.parts.items()},
            "output": nn.uniform_dense(draw, "output", self.inner, width),
        }

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        xz = nn.linear(params["input"], xs)
        x, z = xz[..., : self.inner], xz[..., self.inner :]
        x = nn.silu(run("conv", params["conv"], x))
        y = run("ssm", params["ssm"], x)
        return nn.linear(params["output"], y * nn.silu(z))
