"""Linear maps by blocks: every block of the channels by itself."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw, block_product, namespace
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
    lead = x.shape[:-1]
    x = nn.split_heads(x, kernel.shape[0])
    y = block_product(x if lead else x[None, ...], kernel)
    return y if lead else y[0, ...]
