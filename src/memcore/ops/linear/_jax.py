"""The linear recurrence whose gradient is the same recurrence, run backwards in time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from memcore.backend.jax_functions import broadcasting
from memcore.ops.linear.numbers import Numbers, plus
from memcore.types import Array, State, Tree


def _where(flag: Array, x: Array, y: Array) -> Tree:
    """``x`` where ``flag`` (leading axes) is set, else ``y``; None for ``flag`` is ``y``."""
    if flag is None:
        return y

    def leaf(x: Array, y: Array) -> Tree:
        return jnp.where(flag.reshape(flag.shape + (1,) * (y.ndim - flag.ndim)), x, y)

    return jax.tree.map(leaf, x, y)


def _sum_to(x: Array, like: Array) -> Tree:
    """Sum ``x`` over the axes along which ``like`` was broadcast to it."""
    axes = tuple(i for i, n in enumerate(like.shape) if n == 1 and x.shape[i] != 1)
    return jnp.sum(x, axis=axes, keepdims=True) if axes else x


def _length(tree: Tree) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
@broadcasting
def linear_recurrence(
    states_of: Callable[..., Any], numbers: Numbers, a: Array, b: Array, state: State, flags: Array,
    initial: State,
) -> Tree:  # fmt: skip
    return states_of(numbers, a, b, state, flags, initial)


@broadcasting
def _recurrence_forward(
    states_of: Callable[..., Any], numbers: Numbers, a: Array, b: Array, state: State, flags: Array,
    initial: State,
) -> Tree:  # fmt: skip
    # Not the function itself, which has no forward mode: so the gradient has one (a Hessian).
    states = states_of(numbers, a, b, state, flags, initial)
    return states, (a, states, state, flags, initial)


@broadcasting
def _recurrence_backward(
    states_of: Callable[..., Any], numbers: Numbers, residuals: Tree, cotangents: Tree
) -> Tree:
    """``db_t = g_t + a_{t+1}^T db_{t+1}`` and ``da_t = db_t h_{t-1}^T``, conjugated where complex."""
    a, states, state, flags, initial = residuals
    constant = _length(a) == 1
    still = jax.tree.map(lambda leaf: leaf[0], a)
    previous = jax.tree.map(lambda h, hs: jnp.concat([h[None], hs[:-1]]), state, states)
    zeros = jax.tree.map(jnp.zeros_like, state)

    def body(carry: Tree, slot: Tree) -> Tree:
        dh, da_sum, dinitial = carry
        g, a_t, h, (start, valid) = slot
        a_t = still if constant else a_t
        h = _where(start, initial, h)
        dh = plus(g, dh)
        db = dh if valid is None else _where(valid, dh, zeros)
        da = numbers.outer(db, h)
        before = numbers.pull(a_t, db)
        dh = before if valid is None else _where(valid, before, dh)
        if start is not None:
            dinitial = plus(dinitial, _where(start, dh, zeros))
            dh = _where(start, zeros, dh)
        if constant:
            da_sum, da = plus(da_sum, da), None
        else:
            da = jax.tree.map(_sum_to, da, a_t)
        return (dh, da_sum, dinitial), (db, da)

    no_da = jax.tree.map(jnp.zeros_like, numbers.outer(zeros, zeros)) if constant else None
    no_start = None if flags[0] is None else zeros
    xs = (cotangents, None if constant else a, previous, flags)
    (dh, da_sum, dinitial), (db, da) = jax.lax.scan(
        body, (zeros, no_da, no_start), xs, reverse=True
    )
    if constant:
        da = jax.tree.map(lambda x, like: _sum_to(x[None], like), da_sum, a)
    return da, db, dh, (None, None), dinitial


linear_recurrence.defvjp(_recurrence_forward, _recurrence_backward)
