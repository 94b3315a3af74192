"""Linear maps by blocks: every block of the channels by itself."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw, namespace
from memcore.cell import Array, Params


def init_block_linear(draw: Draw, name: str, blocks: int, size: int, std: float) -> Params:
    """``kernel (blocks, size, size)``, normal with a standard deviation of ``std``."""
    return {"kernel": draw.child(name).normal("kernel", (blocks, size, size), std)}


def block_linear(params: Params, x: Array) -> Array:
    """``x @ kernel`` in each block of channels: ``(..., blocks * in) -> (..., blocks * out)``."""
    kernel = namespace(x).astype(params["kernel"], x.dtype, copy=False)
    return nn.merge_heads(by_blocks(kernel, x))


def by_blocks(kernel: Array, x: Array) -> Array:
    """``(..., blocks * in)`` to ``(..., blocks, out)`` by ``kernel (blocks, in, out)``."""
    xp, lead, (blocks, *sizes) = namespace(x), x.shape[:-1], kernel.shape
    # The blocks lead, so that each is one product over all that is in front; where nothing is, an axis.
    x = xp.moveaxis(nn.split_heads(x, blocks), -2, 0)
    x = x if lead else xp.expand_dims(x, axis=1)
    y = xp.moveaxis(x @ xp.reshape(kernel, (blocks, *(1,) * (x.ndim - 3), *sizes)), 0, -2)
    return y if lead else y[0, ...]
