"""The inner model of TTT-Linear: a linear map with a residual norm, and its gradient written out.

    f(x) = x + LN(x W + c),   loss_t = |LN(k_t W + c) - (v_t - k_t)|^2 / 2
    e_t = d loss_t / d(k_t W + c),   d loss_t / dW = k_t^T e_t,   d loss_t / dc = e_t

A mini-batch takes all its gradients at the weights that it began with (arXiv:2407.04620, section 2.4).
"""

from __future__ import annotations

from memcore.backend import namespace
from memcore.cell import Array, Inputs, Params, State
from memcore.engine.resets import select
from memcore.ops.inner.inner_norm import error, last_rate, normed
from memcore.ops.inner.mini_batches import finite_rows, fold_rows, sequences, spoiled
from memcore.types import Value


def residual(norm: Params, z: Array, eps: float, axis: int = -2) -> Array:
    """``z + LN(z)``."""
    return z + normed(norm, z, eps, axis)


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

    def body(s: State, u: Inputs, starts: Array, used: Array) -> tuple[State, Array]:
        return _mini_batch(norm, u, s, fresh, starts, used, eps)

    where: dict[str, Value] = {"phase": phase, "mini_batch": size, "rows": size}
    axis = inputs["q"].ndim - 3
    return fold_rows(body, turned, state, inputs, starts, valid, axis=axis, **where)


def _mini_batch(
    norm: Params, u: dict[str, Array], state: State, fresh: State, starts: Array, used: Array,
    eps: float,
) -> tuple[State, Array]:  # fmt: skip
    """One mini-batch of C rows, ``(*batch, C, H, D)``; rows see those before them in their own sequence."""
    xp = namespace(u["q"])
    q, k, v = (xp.moveaxis(u[name], -2, -3) for name in "qkv")  # (..., H, C, D)
    rate = xp.moveaxis(u["rate"], -1, -2)  # (..., H, C)
    first, last, pairs = sequences(starts, used)

    def through(x: Array) -> Array:
        """``x W + c`` with the weights that each row's sequence began with."""
        old = x @ state["weight"] + state["bias"][..., None, :]
        if starts is None:
            return old
        new = x @ fresh["weight"] + fresh["bias"][..., None, :]
        return xp.where(first[..., None, :, None], old, new)

    e = error(norm, through(k), v - k, eps, -3)
    counts = finite_rows(k, e) & used[..., None, :]
    wrong = used[..., None, :] & ~counts
    k, e = (xp.where(counts[..., None], x, xp.zeros_like(x)) for x in (k, e))
    scores = xp.where(
        pairs[..., None, :, :], q @ k.mT + 1.0, xp.zeros_like(q[..., :1] @ k[..., :1].mT)
    )
    carried = q @ state["weight_sum"] + state["bias_sum"][..., None, :]
    carried = xp.where(first[..., None, :, None], carried, xp.zeros_like(carried))
    z = through(q) - rate[..., None] * (scores @ e + carried)
    out = residual(norm, z, eps, -3)

    entered = state if starts is None else select(first[..., -1], state, fresh)
    e = xp.where(last[..., None, :, None], e, xp.zeros_like(e))
    after = {
        **entered,
        "weight_sum": entered["weight_sum"] + k.mT @ e,
        "bias_sum": entered["bias_sum"] + xp.sum(e, axis=-2),
        "rate": last_rate(rate, used & last, entered["rate"]),
    }
    out, after = spoiled(wrong, starts, out, after)
    return after, xp.moveaxis(out, -3, -2)
