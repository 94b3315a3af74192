"""Queries, keys and values behind one short convolution, as memories of keys and values have them."""

from __future__ import annotations

import math

from memcore import nn
from memcore.backend import Draw, namespace
from memcore.cell import Array, Params
from memcore.engine import Parts
from memcore.nn import wide

NAMES = ("query", "key", "value")


def init_convolved_heads(draw: Draw, width: int, conv_size: int) -> Params:
    """Square kernels of queries, keys and values, and those of their convolutions."""
    shape, bound = (conv_size, width), 1 / math.sqrt(conv_size)
    kernels = {
        f"{name}_conv": {"kernel": draw.uniform(f"{name}_conv", shape, -bound, bound)}
        for name in NAMES
    }
    return {**{name: nn.dense(draw, name, width, width) for name in NAMES}, **kernels}


def convolved_heads(
    params: Params, xs: Array, run: Parts, heads: int, name: str = "conv"
) -> tuple[Array, Array, Array]:
    """``silu(conv(W x))``: q, k ``(..., T, heads, D)`` of norm 1 in the dtype of the state, and v.

    ``name`` is the part of the convolution, over ``3 * in_features`` channels.
    """
    xp = namespace(xs)
    kernel, window = (
        xp.concat([params[f"{n}{end}"]["kernel"] for n in NAMES], axis=-1) for end in ("", "_conv")
    )
    u = nn.silu(run(name, {"kernel": window}, nn.linear({"kernel": kernel}, xs)))
    u = nn.split_heads(u, 3 * heads)
    qk = nn.l2_normalise(wide(u[..., : 2 * heads, :]))
    return qk[..., :heads, :], qk[..., heads:, :], u[..., 2 * heads :, :]
