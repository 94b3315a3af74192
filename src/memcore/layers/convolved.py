"""Projections behind a short convolution, as the delta networks have them: one convolution over all."""

from __future__ import annotations

import math

from memcore import nn
from memcore.backend import Draw, namespace
from memcore.cell import Array, Params
from memcore.engine import Parts


def init_convolved(draw: Draw, width: int, sizes: dict[str, int], conv_size: int) -> Params:
    """A kernel for each name, and under ``name_conv`` the taps of its convolution."""
    bound = 1 / math.sqrt(conv_size)
    taps = {
        f"{name}_conv": {"kernel": draw.uniform(f"{name}_conv", (conv_size, size), -bound, bound)}
        for name, size in sizes.items()
    }
    return {**{name: nn.dense(draw, name, width, size) for name, size in sizes.items()}, **taps}


def convolved(params: Params, names: tuple[str, ...], xs: Array, run: Parts) -> list[Array]:
    """``silu(conv(W x))`` of each name, ``(..., T, size)``, by the part ``conv``: projected and convolved
    side by side."""
    xp = namespace(xs)
    kernel, taps = (
        xp.concat([params[f"{name}{end}"]["kernel"] for name in names], axis=-1)
        for end in ("", "_conv")
    )
    u = nn.silu(run("conv", {"kernel": taps}, nn.linear({"kernel": kernel}, xs)))
    ends = [0]
    for name in names:
        ends.append(ends[-1] + params[name]["kernel"].shape[-1])
    return [u[..., a:b] for a, b in zip(ends[:-1], ends[1:], strict=True)]
