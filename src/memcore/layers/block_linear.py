"""Linear maps by blocks: every block of the channels by itself."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw, namespace
from memcore.cell import Array, Params


def init_block_linear(draw: Draw, name: str, blocks: int, size: int, std: float) -> Params:
    """``kernel (blocks, size, size)``, normal with a standard deviation of ``std``."""
    return {"kernel": draw.child(name).normal("kernel", (blocks, size, size), std)}


def block_linear(params: Params, x: Array) -> Array:
    """``x @ kernel`` in each block of channels: ``(..., T, blocks * in) -> (..., T, blocks * out)``."""
    xp = namespace(x)
    kernel = xp.astype(params["kernel"], x.dtype, copy=False)
    blocks, *sizes = kernel.shape
    # The blocks lead, so that each is one product over all steps; batch axes stay what they are.
    x = xp.moveaxis(nn.split_heads(x, blocks), -2, 0)
    y = x @ xp.reshape(kernel, (blocks, *(1,) * (x.ndim - 3), *sizes))
    return nn.merge_heads(xp.moveaxis(y, 0, -2))
