"""The inner model of TTT-Linear: a linear map with a residual norm, and its gradient written out.

    f(x) = x + LN(x W + c),   loss_t = |LN(k_t W + c) - (v_t - k_t)|^2 / 2
    e_t = d loss_t / d(k_t W + c),   d loss_t / dW = k_t^T e_t,   d loss_t / dc = e_t

A mini-batch takes all its gradients at the weights that it began with (arXiv:2407.04620, section 2.4).
"""

from __future__ import annotations

from memcore.backend import checkpoint, fold, namespace, tree_map
from memcore.cell import Array, Params, State
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.resets import align, segments, select
from memcore.types import Tree


def normalised(norm: Params, z: Array, eps: float) -> tuple[Array, Array]:
    """``(z - mean) / std`` over the last axis and ``1 / std``; ``norm`` is not applied."""
    xp = namespace(z)
    z = z - xp.mean(z, axis=-1, keepdims=True)
    inverse = 1.0 / xp.sqrt(xp.mean(z * z, axis=-1, keepdims=True) + eps)
    return z * inverse, inverse


def _norm(norm: Params, z: Array, axis: int) -> tuple[Array, Array]:
    """Scale and bias ``(H, D)`` for ``z`` with its heads at ``axis``."""
    xp = namespace(z)
    shape = (norm["scale"].shape[0], *(1,) * (-axis - 2), norm["scale"].shape[1])
    scale, bias = (xp.astype(norm[n], z.dtype, copy=False) for n in ("scale", "bias"))
    return xp.reshape(scale, shape), xp.reshape(bias, shape)


def error(norm: Params, z: Array, target: Array, eps: float, axis: int = -2) -> Array:
    """``e (..., D)``, the gradient of the inner loss in ``z = k W + c``; heads stand at ``axis``."""
    xp, (scale, bias) = namespace(z), _norm(norm, z, axis)
    y, inverse = normalised(norm, z, eps)
    g = (scale * y + bias - target) * scale
    centred = g - xp.mean(g, axis=-1, keepdims=True)
    return (centred - y * xp.mean(g * y, axis=-1, keepdims=True)) * inverse


def residual(norm: Params, z: Array, eps: float, axis: int = -2) -> Array:
    """``z + LN(z)``."""
    scale, bias = _norm(norm, z, axis)
    return z + scale * normalised(norm, z, eps)[0] + bias


def turned(state: dict[str, Array]) -> dict[str, Array]:
    """The end of a mini-batch: the weights take the step, with the rate of its last row."""
    xp, rate = namespace(state["rate"]), state["rate"][..., None]
    return {
        "weight": state["weight"] - rate[..., None] * state["weight_sum"],
        "bias": state["bias"] - rate * state["bias_sum"],
        "weight_sum": xp.zeros_like(state["weight_sum"]),
        "bias_sum": xp.zeros_like(state["bias_sum"]),
        "rate": state["rate"],
    }


def mini_batches(
    norm: Params, inputs: dict[str, Array], state: State, fresh: State, starts: Array, valid: Array,
    phase: Array, size: int, eps: float,
) -> tuple[State, Array]:  # fmt: skip
    """All steps, one mini-batch of ``size`` rows at a time: ``(state, z + LN(z))``.

    ``q, k, v (*batch, T, H, D)``, ``rate (*batch, T, H)``; row t stands at place ``phase + t``.
    """
    q = inputs["q"]
    xp, axis = namespace(q), q.ndim - 3
    length = q.shape[axis]
    places = (length + 2 * size - 2) // size * size
    row = xp.arange(places, dtype=xp.int32) - (0 if phase is None else phase)
    real = (row >= 0) & (row < length)
    source = xp.clip(row, 0, length - 1)

    def place(x: Array) -> Array:
        return into_chunks(xp.take(x, source, axis=axis), axis, size)

    used = xp.broadcast_to(real, (*q.shape[:axis], places))
    used = used if valid is None else used & xp.take(valid, source, axis=axis)
    begins = None if starts is None else xp.take(starts, source, axis=axis) & real
    flags = tree_map(lambda f: into_chunks(f, axis, size), (begins, used))
    ends = xp.reshape(row, (-1, size))[:, -1]
    complete = (ends >= 0) & (ends < length)
    blocks = {name: place(x) for name, x in inputs.items()}

    def body(s: State, slot: Tree) -> tuple[State, Array]:
        block, (begins, used), complete = slot
        after, out = _mini_batch(norm, block, s, fresh, begins, used, eps)
        return select(complete, turned(after), after), out

    state, out = fold(checkpoint(body, state), state, (blocks, flags, complete), places // size)
    out = out_of_chunks(out, axis, places)
    return state, xp.take(out, xp.arange(length, dtype=xp.int32) - row[0], axis=axis)


def _mini_batch(
    norm: Params, u: dict[str, Array], state: State, fresh: State, starts: Array, used: Array,
    eps: float,
) -> tuple[State, Array]:  # fmt: skip
    """One mini-batch of C rows, ``(*batch, C, H, D)``; rows see those before them in their own sequence."""
    xp = namespace(u["q"])
    q, k, v = (xp.moveaxis(u[name], -2, -3) for name in "qkv")  # (..., H, C, D)
    rate = xp.moveaxis(u["rate"], -1, -2)  # (..., H, C)
    number = xp.zeros_like(xp.astype(used, xp.int32)) if starts is None else segments(starts)
    first, last = number == 0, number == number[..., -1:]
    i = xp.arange(used.shape[-1])
    pairs = (number[..., :, None] == number[..., None, :]) & (i[:, None] >= i)

    def through(x: Array) -> Array:
        """``x W + c`` with the weights that each row's sequence began with."""
        old = x @ state["weight"] + state["bias"][..., None, :]
        if starts is None:
            return old
        new = x @ fresh["weight"] + fresh["bias"][..., None, :]
        return xp.where(first[..., None, :, None], old, new)

    e = error(norm, through(k), v - k, eps, -3)
    e = xp.where(used[..., None, :, None], e, xp.zeros_like(e))
    scores = xp.where(
        pairs[..., None, :, :], q @ k.mT + 1.0, xp.zeros_like(q[..., :1] @ k[..., :1].mT)
    )
    carried = q @ state["weight_sum"] + state["bias_sum"][..., None, :]
    carried = xp.where(first[..., None, :, None], carried, xp.zeros_like(carried))
    z = through(q) - rate[..., None] * (scores @ e + carried)
    out = xp.moveaxis(residual(norm, z, eps, -3), -3, -2)

    entered = state if starts is None else select(first[..., -1], state, fresh)
    e = xp.where(last[..., None, :, None], e, xp.zeros_like(e))
    after = {
        **entered,
        "weight_sum": entered["weight_sum"] + k.mT @ e,
        "bias_sum": entered["bias_sum"] + xp.sum(e, axis=-2),
        "rate": _last_rate(rate, used & last, entered["rate"]),
    }
    return after, out


def _last_rate(rate: Array, counts: Array, before: Array) -> Array:
    """The rate ``(..., H)`` of the last row that counts; what was there where none does."""
    xp = namespace(rate)
    place = xp.where(counts, xp.arange(1, counts.shape[-1] + 1, dtype=xp.int32), 0)
    top = xp.max(place, axis=-1, keepdims=True)
    one = (place == top) & counts
    found = xp.sum(xp.where(one[..., None, :], rate, xp.zeros_like(rate)), axis=-1)
    return xp.where(align(top[..., 0] > 0, before.ndim), found, before)
