"""A layer norm at the end of an inner model, and the gradient of its squared error, written out."""

from __future__ import annotations

from memcore.backend import namespace
from memcore.cell import Array, Params
from memcore.engine.resets import align


def normalised(norm: Params, z: Array, eps: float) -> tuple[Array, Array]:
    """``(z - mean) / std`` over the last axis and ``1 / std``; ``norm`` is not applied."""
    xp = namespace(z)
    z = z - xp.mean(z, axis=-1, keepdims=True)
    inverse = 1.0 / xp.sqrt(xp.mean(z * z, axis=-1, keepdims=True) + eps)
    return z * inverse, inverse


def scale_and_bias(norm: Params, z: Array, axis: int) -> tuple[Array, Array]:
    """Scale and bias ``(H, D)`` for ``z`` with its heads at ``axis``."""
    xp = namespace(z)
    shape = (norm["scale"].shape[0], *(1,) * (-axis - 2), norm["scale"].shape[1])
    scale, bias = (xp.astype(norm[n], z.dtype, copy=False) for n in ("scale", "bias"))
    return xp.reshape(scale, shape), xp.reshape(bias, shape)


def error(norm: Params, z: Array, target: Array, eps: float, axis: int = -2) -> Array:
    """``e (..., D)``, the gradient of the inner loss in ``z = k W + c``; heads stand at ``axis``."""
    xp, (scale, bias) = namespace(z), scale_and_bias(norm, z, axis)
    y, inverse = normalised(norm, z, eps)
    g = (scale * y + bias - target) * scale
    centred = g - xp.mean(g, axis=-1, keepdims=True)
    return (centred - y * xp.mean(g * y, axis=-1, keepdims=True)) * inverse


def normed(norm: Params, z: Array, eps: float, axis: int = -2) -> Array:
    """``LN(z)``."""
    scale, bias = scale_and_bias(norm, z, axis)
    return scale * normalised(norm, z, eps)[0] + bias


def last_rate(rate: Array, counts: Array, before: Array) -> Array:
    """The rate ``(..., H)`` of the last row that counts; what was there where none does."""
    xp = namespace(rate)
    place = xp.where(counts, xp.arange(1, counts.shape[-1] + 1, dtype=xp.int32), 0)
    top = xp.max(place, axis=-1, keepdims=True)
    one = (place == top) & counts
    found = xp.sum(xp.where(one[..., None, :], rate, xp.zeros_like(rate)), axis=-1)
    return xp.where(align(top[..., 0] > 0, before.ndim), found, before)
