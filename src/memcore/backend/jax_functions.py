"""What JAX does its own way. Imported only once a JAX array is met."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from memcore.backend.arithmetic import Numbers, plus

checkpoint = jax.checkpoint
sigmoid = jax.lax.logistic
stop_gradient = jax.lax.stop_gradient


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
def _unit_lower_inverse(f: Callable[[Any], Any], lower: Any) -> Any:
    return f(lower)


@_unit_lower_inverse.defjvp
def _unit_lower_inverse_jvp(f: Callable[[Any], Any], primals: Any, tangents: Any) -> Any:
    """``d(M^-1) = -M^-1 dM M^-1``: two matmuls, where the rounds of ``f`` have many."""
    result = _unit_lower_inverse(f, *primals)
    return result, -(result @ jnp.tril(tangents[0], -1) @ result)


def _refined(found: Any, lower: Any, b: Any) -> Any:
    x = found @ b
    return x + found @ (b - x - jnp.tril(lower, -1) @ x)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def unit_lower_solve(inverse: Callable[[Any], Any], lower: Any, b: Any) -> Any:
    return _refined(_unit_lower_inverse(inverse, lower), lower, b)


@unit_lower_solve.defjvp
def _unit_lower_solve_jvp(inverse: Callable[[Any], Any], primals: Any, tangents: Any) -> Any:
    """``M dx = db - dM x``."""
    (lower, b), (dlower, db) = primals, tangents
    found = _unit_lower_inverse(inverse, lower)
    x = _refined(found, lower, b)
    return x, _refined(found, lower, db - jnp.tril(dlower, -1) @ x)


# Linear recurrences. `Numbers` says what `a` and `h` are.


def _where(flag: Any, x: Any, y: Any) -> Any:
    """``x`` where ``flag`` (leading axes) is set, else ``y``; None for ``flag`` is ``y``."""
    if flag is None:
        return y

    def leaf(x: Any, y: Any) -> Any:
        return jnp.where(flag.reshape(flag.shape + (1,) * (y.ndim - flag.ndim)), x, y)

    return jax.tree.map(leaf, x, y)


def _sum_to(x: Any, like: Any) -> Any:
    """Sum ``x`` over the axes along which ``like`` was broadcast to it."""
    axes = tuple(i for i, n in enumerate(like.shape) if n == 1 and x.shape[i] != 1)
    return jnp.sum(x, axis=axes, keepdims=True) if axes else x


def _length(tree: Any) -> int:
    return jax.tree.leaves(tree)[0].shape[0]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def linear_recurrence(
    states_of: Callable[..., Any], numbers: Numbers, a: Any, b: Any, state: Any, flags: Any,
    initial: Any,
) -> Any:  # fmt: skip
    return states_of(numbers, a, b, state, flags, initial)


def _recurrence_forward(
    states_of: Callable[..., Any], numbers: Numbers, a: Any, b: Any, state: Any, flags: Any,
    initial: Any,
) -> Any:  # fmt: skip
    # Not the function itself, which has no forward mode: so the gradient has one (a Hessian).
    states = states_of(numbers, a, b, state, flags, initial)
    return states, (a, states, state, flags, initial)


def _recurrence_backward(
    states_of: Callable[..., Any], numbers: Numbers, residuals: Any, cotangents: Any
) -> Any:
    """``db_t = g_t + a_{t+1}^T db_{t+1}`` and ``da_t = db_t h_{t-1}^T``, conjugated where complex."""
    a, states, state, flags, initial = residuals
    constant = _length(a) == 1
    still = jax.tree.map(lambda leaf: leaf[0], a)
    previous = jax.tree.map(lambda h, hs: jnp.concat([h[None], hs[:-1]]), state, states)
    zeros = jax.tree.map(jnp.zeros_like, state)

    def body(carry: Any, slot: Any) -> Any:
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
        body, (zeros, no_da, no_start), xs, length=_length(cotangents), reverse=True
    )
    if constant:
        da = jax.tree.map(lambda x, like: _sum_to(x[None], like), da_sum, a)
    return da, db, dh, (None, None), dinitial


linear_recurrence.defvjp(_recurrence_forward, _recurrence_backward)
