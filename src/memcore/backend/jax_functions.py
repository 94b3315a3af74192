"""What JAX does its own way. Imported only once a JAX array is met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

checkpoint = jax.checkpoint


def platform(x: Any) -> str:
    """``cpu``, ``gpu`` or ``tpu``: where ``x`` lies, or inside ``jit`` the default device."""
    try:
        kind = next(iter(x.devices())).platform
    except (AttributeError, jax.errors.ConcretizationTypeError):
        kind = jax.default_backend()
    return {"cuda": "gpu", "rocm": "gpu"}.get(kind, kind)


def fold(f: Callable[..., Any], carry: Any, xs: Any, length: int) -> Any:
    return jax.lax.scan(f, carry, xs, length=length)


def associative_scan(op: Callable[[Any, Any], Any], elements: Any, axis: int) -> Any:
    return jax.lax.associative_scan(op, elements, axis=axis)


def running_max(x: Any, axis: int) -> Any:
    return jax.lax.cummax(x, axis=axis)


@partial(jax.jit, static_argnums=(0, 1))
def _compiled(run: Callable[..., Any], statics: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    return run(*statics, *args)


def compiled(run: Callable[..., Any], statics: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    return _compiled(run, statics, args)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def inverse(f: Callable[[Any], Any], matrix: Any) -> Any:
    return f(matrix)


@inverse.defjvp
def _inverse_jvp(f: Callable[[Any], Any], primals: Any, tangents: Any) -> Any:
    """``d(M^-1) = -M^-1 dM M^-1``: two matmuls, where the rounds of ``f`` have many."""
    result = inverse(f, *primals)
    return result, -(result @ tangents[0] @ result)


# The diagonal linear recurrence. Numbers are arrays, or pairs (re, im) of arrays.


def _times(a: Any, h: Any) -> Any:
    if isinstance(a, tuple):
        return (a[0] * h[0] - a[1] * h[1], a[0] * h[1] + a[1] * h[0])
    return a * h


def _conj_times(a: Any, g: Any) -> Any:
    """``conj(a) g``: what the gradient of ``a h`` with respect to ``h`` makes of a cotangent."""
    if isinstance(a, tuple):
        return (a[0] * g[0] + a[1] * g[1], a[0] * g[1] - a[1] * g[0])
    return a * g


def _add(x: Any, y: Any) -> Any:
    return jax.tree.map(jnp.add, x, y)


def _where(flag: Any, x: Any, y: Any) -> Any:
    def leaf(x: Any, y: Any) -> Any:
        return jnp.where(flag.reshape(flag.shape + (1,) * (y.ndim - flag.ndim)), x, y)

    return jax.tree.map(leaf, x, y)


def _sum_to(x: Any, like: Any) -> Any:
    """Sum ``x`` over the axes along which ``like`` was broadcast to it."""
    axes = tuple(i for i, n in enumerate(like.shape) if n == 1 and x.shape[i] != 1)
    return jnp.sum(x, axis=axes, keepdims=True) if axes else x


def _length(tree: Any) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


@jax.custom_vjp
def linear_recurrence(a: Any, b: Any, state: Any, starts: Any, initial: Any) -> Any:
    constant = _length(a) == 1

    def body(h: Any, slot: Any) -> Any:
        a_t, b_t, start = slot
        a_t = jax.tree.map(lambda leaf: leaf[0], a) if constant else a_t
        h = h if start is None else _where(start, initial, h)
        h = _add(_times(a_t, h), b_t)
        return h, h

    xs = (None if constant else a, b, starts)
    return jax.lax.scan(body, state, xs, length=_length(b))[1]


def _recurrence_forward(a: Any, b: Any, state: Any, starts: Any, initial: Any) -> Any:
    states = linear_recurrence(a, b, state, starts, initial)
    return states, (a, states, state, starts, initial)


def _recurrence_backward(residuals: Any, cotangents: Any) -> Any:
    """``db_t = g_t + a_{t+1} db_{t+1}`` and ``da_t = db_t h_{t-1}``, conjugated where complex."""
    a, states, state, starts, initial = residuals
    constant = _length(a) == 1
    previous = jax.tree.map(lambda h, hs: jnp.concat([h[None], hs[:-1]]), state, states)
    zeros = jax.tree.map(jnp.zeros_like, state)

    def body(carry: Any, slot: Any) -> Any:
        dh, da_sum, dinitial = carry
        g, a_t, h, start = slot
        a_t = jax.tree.map(lambda leaf: leaf[0], a) if constant else a_t
        h = h if start is None else _where(start, initial, h)
        db = _add(g, dh)
        da = _conj_times(h, db)
        dh = _conj_times(a_t, db)
        if start is not None:
            dinitial = _add(dinitial, _where(start, dh, zeros))
            dh = _where(start, zeros, dh)
        if constant:
            da_sum, da = _add(da_sum, da), None
        return (dh, da_sum, dinitial), (db, da)

    xs = (cotangents, None if constant else a, previous, starts)
    (dh, da_sum, dinitial), (db, da) = jax.lax.scan(
        body,
        (zeros, zeros if constant else None, None if starts is None else zeros),
        xs,
        length=_length(cotangents),
        reverse=True,
    )
    da = jax.tree.map(lambda leaf: leaf[None], da_sum) if constant else da
    return jax.tree.map(_sum_to, da, a), db, dh, None, dinitial


linear_recurrence.defvjp(_recurrence_forward, _recurrence_backward)
