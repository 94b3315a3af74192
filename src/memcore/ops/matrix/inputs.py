"""What the matrix memories share: their inputs, and the fading of a memory."""

from __future__ import annotations

from memcore.backend import namespace
from memcore.cell import Array, Inputs
from memcore.nn import wide
from memcore.ops.arguments import as_floats, check_shape


def decay_of(inputs: Inputs) -> Array:
    """``a (..., H, 1)`` or ``(..., H, K)`` from log decays ``(..., H)`` or ``(..., H, K)``; or None."""
    if "log_decay" not in inputs:
        return None
    g = wide(inputs["log_decay"])
    a = namespace(g).exp(g)
    return a if a.ndim == inputs["k"].ndim else a[..., None]


def fade(decay: Array, memory: Array) -> Array:
    """``diag(a) S``; None for ``a`` is no decay."""
    return memory if decay is None else decay[..., None] * memory


def in_time(x: Array, like: Array, ndim: int) -> Array:
    """``x``, which may be constant in time or over the batch, with the first ``ndim`` axes of ``like``."""
    return namespace(x).broadcast_to(x, (*like.shape[:ndim], *x.shape[ndim:]))


def matrix_inputs(q: Array, k: Array, v: Array, log_decay: Array = None) -> dict[str, Array]:
    """The inputs of a matrix memory as arrays; raises where they do not fit together."""
    k = as_floats("k", k, 3, "(..., T, H, K)")
    v = as_floats("v", v, 3, "(..., T, H, V)")
    q = as_floats("q", q, 3, "(..., T, H, K)")
    like = f"k {tuple(k.shape)}"
    check_shape("q", q, k.shape, like)
    check_shape("v", v, (*k.shape[:-1], v.shape[-1]), like)
    inputs = {"q": q, "k": k, "v": v}
    if log_decay is None:
        return inputs
    g = as_floats("log_decay", log_decay, 0, "(..., T, H) or (..., T, H, K)")
    check_shape("log_decay", g, k.shape[: max(g.ndim, k.ndim - 1)], like)
    return {**inputs, "log_decay": g}
