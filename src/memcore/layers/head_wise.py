"""The recurrent kernel of a gated cell, by heads: each head of the state by itself (arXiv:2412.07752)."""

from __future__ import annotations

from memcore.backend import Draw, cast, namespace, product
from memcore.cell import Array, Params
from memcore.layers.block_linear import by_blocks


def check_heads(heads: int, size: int, name: str = "hidden_size") -> None:
    """Raise ValueError unless ``heads`` divides ``size``, which is called ``name``."""
    if size % heads:
        raise ValueError(f"heads is {heads}, expected a divisor of {name} {size}")


def kernel_shape(size: int, gates: int, heads: int) -> tuple[int, ...]:
    """``(size, gates * size)``, and of several heads ``(heads, size / heads, gates * size / heads)``."""
    own = size // heads
    return (size, gates * size) if heads == 1 else (heads, own, gates * own)


def init_head_wise(
    draw: Draw, name: str, size: int, gates: int, heads: int, bias: bool = False
) -> Params:
    """The ``kernel`` and, if asked, a ``bias (gates * size,)``, as torch's recurrent cells draw them: all
    uniform within one over the square root of a head's size."""
    draw, bound = draw.child(name), (size // heads) ** -0.5
    params = {"kernel": draw.uniform("kernel", kernel_shape(size, gates, heads), -bound, bound)}
    return (
        {**params, "bias": draw.uniform("bias", (gates * size,), -bound, bound)} if bias else params
    )


def head_wise(params: Params, h: Array) -> Array:
    """``h @ kernel (+ bias)``, head by head: ``(..., size)`` to ``(..., gates * size)``, gate by gate."""
    kernel = cast(params["kernel"], h.dtype)
    y = product(h, kernel) if kernel.ndim == 2 else _by_heads(kernel, h)
    return y + cast(params["bias"], h.dtype) if "bias" in params else y


def _by_heads(kernel: Array, h: Array) -> Array:
    xp, own = namespace(h), kernel.shape[-2]
    y = by_blocks(kernel, h)
    y = xp.moveaxis(xp.reshape(y, (*y.shape[:-1], y.shape[-1] // own, own)), -3, -2)
    return xp.reshape(y, (*h.shape[:-1], h.shape[-1] * kernel.shape[-1] // own))
