"""The inner model of TTT-MLP: two layers with a norm and a residual, and their gradients written out.

    f(x) = x + LN(gelu(x W1 + b1) W2 + b2),   loss_t = |f(k_t) - v_t|^2 / 2
    z1 = k W1 + b1,   x2 = gelu(z1),   d2 = d loss / d(x2 W2 + b2),   d1 = (d2 W2^T) * gelu'(z1)

A mini-batch takes all its gradients at the weights that it began with; of a row they are ``k^T d1``, ``d1``,
``x2^T d2`` and ``d2`` (arXiv:2407.04620, section 2.4 and appendix A).
"""

from __future__ import annotations

import math

from memcore.backend import namespace
from memcore.cell import Array, Inputs, Params, Starts, State
from memcore.engine.resets import select
from memcore.ops.inner.inner_norm import error, last_rate, normed
from memcore.ops.inner.mini_batches import finite_rows, fold_rows, sequences, spoiled
from memcore.types import Value

CUBIC, ROOT = 0.044715, math.sqrt(2 / math.pi)


def gelu(z: Array) -> Array:
    """``z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))) / 2``."""
    return 0.5 * z * (1.0 + namespace(z).tanh(ROOT * (z + CUBIC * z * z * z)))


def gelu_slope(z: Array) -> Array:
    """The derivative of `gelu`."""
    t = namespace(z).tanh(ROOT * (z + CUBIC * z * z * z))
    return 0.5 * (1.0 + t) + 0.5 * z * (1.0 - t * t) * ROOT * (1.0 + 3.0 * CUBIC * z * z)


def affine(weights: State, layer: int, x: Array) -> Array:
    """``x W + b`` of rows ``(..., H, C, n)``."""
    return x @ weights[f"w{layer}"] + weights[f"b{layer}"][..., None, :]


def gradients(
    norm: Params, weights: State, k: Array, v: Array, eps: float
) -> tuple[Array, Array, Array]:
    """``(d1, x2, d2)`` of rows ``(..., H, C, D)``."""
    z = affine(weights, 1, k)
    hidden = gelu(z)
    d = error(norm, affine(weights, 2, hidden), v - k, eps, -3)
    return (d @ weights["w2"].mT) * gelu_slope(z), hidden, d


def added(sums: State, k: Array, found: tuple[Array, Array, Array]) -> State:
    """The sums of the gradients, with those of more rows."""
    xp, (d1, hidden, d2) = namespace(k), found
    return {
        "w1": sums["w1"] + k.mT @ d1,
        "b1": sums["b1"] + xp.sum(d1, axis=-2),
        "w2": sums["w2"] + hidden.mT @ d2,
        "b2": sums["b2"] + xp.sum(d2, axis=-2),
    }


def moved(state: State, rate: Array) -> State:
    """The weights after the step that the sums make at a rate ``(..., H)``."""
    weights, sums = state["weights"], state["sums"]
    rates = {"w": rate[..., None, None], "b": rate[..., None]}
    return {name: w - rates[name[0]] * sums[name] for name, w in weights.items()}


def read(norm: Params, weights: State, q: Array, eps: float) -> Array:
    """``q + LN(...)`` of rows ``(..., H, C, D)``."""
    return q + normed(norm, affine(weights, 2, gelu(affine(weights, 1, q))), eps, -3)


def turned(state: State) -> State:
    """The end of a mini-batch: the weights take the step, with the rate of its last row."""
    sums = {name: namespace(x).zeros_like(x) for name, x in state["sums"].items()}
    return {"weights": moved(state, state["rate"]), "sums": sums, "rate": state["rate"]}


def mini_batches(
    norm: Params, inputs: Inputs, state: State, fresh: State, starts: Starts, valid: Array,
    phase: Array, size: int, eps: float,
) -> tuple[State, Array]:  # fmt: skip
    """All steps, one mini-batch of ``size`` rows at a time: ``(state, out)``.

    ``q, k, v (*batch, T, H, D)``, ``rate (*batch, T, H)``; row t stands at place ``phase + t``.
    """

    def body(s: State, u: Inputs, begins: Starts, used: Array) -> tuple[State, Array]:
        return _mini_batch(norm, u, s, fresh, begins, used, eps)

    where: dict[str, Value] = {"phase": phase, "mini_batch": size, "rows": size}
    axis = inputs["q"].ndim - 3
    return fold_rows(body, turned, state, inputs, starts, valid, axis=axis, **where)


def _mini_batch(
    norm: Params, u: Inputs, state: State, fresh: State, begins: Starts, used: Array, eps: float
) -> tuple[State, Array]:
    """C rows, ``(*batch, C, H, ...)``; each sees those before it in its own sequence."""
    xp = namespace(u["q"])
    q, k, v = (xp.moveaxis(u[name], -2, -3) for name in "qkv")  # (..., H, C, D)
    rate = xp.moveaxis(u["rate"], -1, -2)  # (..., H, C)
    first, last, pairs = sequences(begins, used)
    entering = first[..., None, :, None]

    def of_row(old: Array, new: Array) -> Array:
        return old if begins is None else xp.where(entering, old, new)

    found = gradients(norm, state["weights"], k, v, eps)
    if begins is not None:
        new = gradients(norm, fresh["weights"], k, v, eps)
        found = tuple(of_row(a, b) for a, b in zip(found, new, strict=True))  # type: ignore[assignment]
    counts = finite_rows(k, *found) & used[..., None, :]
    wrong = used[..., None, :] & ~counts
    k, d1, hidden, d2 = (xp.where(counts[..., None], x, xp.zeros_like(x)) for x in (k, *found))

    def own(layer: int, x: Array, keys: Array, d: Array) -> Array:
        """``x W + b``, each row with the weights that it has written last."""
        scores = x @ keys.mT + 1.0
        scores = xp.where(pairs[..., None, :, :], scores, xp.zeros_like(scores))
        carried = affine(state["sums"], layer, x)
        step = scores @ d + of_row(carried, xp.zeros_like(carried))
        entered = affine(state["weights"], layer, x)
        if begins is not None:
            entered = of_row(entered, affine(fresh["weights"], layer, x))
        return entered - rate[..., None] * step

    z = own(2, gelu(own(1, q, k, d1)), hidden, d2)
    out = q + normed(norm, z, eps, -3)
    entered = state if begins is None else select(first[..., -1], state, fresh)
    leaving = last[..., None, :, None]
    d1, d2 = (xp.where(leaving, d, xp.zeros_like(d)) for d in (d1, d2))
    sums = added(entered["sums"], k, (d1, hidden, d2))
    after = {**entered, "sums": sums, "rate": last_rate(rate, used & last, entered["rate"])}
    out, after = spoiled(wrong, begins, out, after)
    return after, xp.moveaxis(out, -3, -2)
