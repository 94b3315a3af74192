"""The linear recurrence whose gradient is the same recurrence, run backwards in time.

In the two loops is only what one step needs of another; the products for the gradient of ``a`` are made
for all steps after them. Elsewhere than on a CPU both are prefix scans. There a start is a select between
two elements, not a factor 0: what overflowed before it is not 0 times that. Behind one no product of
transitions is needed, so those of a constant ``a`` have no batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from memcore.backend import is_symbolic
from memcore.backend.jax_folds import Before, fold_in_place, where
from memcore.backend.jax_functions import broadcasting, platform
from memcore.ops.linear.numbers import Numbers, plus
from memcore.types import Array, State, Tree

MOST = 2**24
"""Numbers of dense transitions of all steps, of which a prefix scan keeps some copies."""
_Times: TypeAlias = Callable[[Array, Array], Array]


def _sum_to(x: Array, like: Array) -> Tree:
    """Sum ``x`` over the axes along which ``like`` was broadcast to it."""
    axes = tuple(i for i, n in enumerate(like.shape) if n == 1 and x.shape[i] != 1)
    return jnp.sum(x, axis=axes, keepdims=True) if axes else x


def _split(a: Array, axis: int, length: int) -> tuple[Tree, Tree]:
    """``(still, moving)``, one of them None: a constant without its time axis, or ``a``."""
    if jax.tree.leaves(a)[0].shape[axis] == length:
        return None, a
    return jax.tree.map(lambda x: jnp.squeeze(x, axis), a), None


def _by_prefix(a: Tree, b: Tree, axis: int) -> bool:
    """Whether all steps run side by side: elsewhere than on a CPU, if they are a known number, and dense
    transitions of all of them not too large."""
    (a, *_), (b, *_) = jax.tree.leaves(a), jax.tree.leaves(b)
    if platform(b) == "cpu" or is_symbolic(b.shape[axis]):
        return False
    if a.ndim > b.ndim and any(map(is_symbolic, a.shape)):
        return False
    return a.ndim == b.ndim or (math.prod(a.shape) // a.shape[axis]) * b.shape[axis] <= MOST


def _length(tree: Tree, axis: int) -> int:
    return jax.tree.leaves(tree)[0].shape[axis]


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
@broadcasting
def linear_recurrence(
    numbers: Numbers, axis: int, a: Array, b: Array, state: State, flags: Array, initial: State
) -> Tree:
    """The state after each step; time at ``axis``."""
    return _states(numbers, axis, a, b, state, flags, initial)


def _states(
    numbers: Numbers, axis: int, a: Array, b: Array, state: State, flags: Array, initial: State
) -> Tree:
    if _by_prefix(a, b, axis):
        return _states_by_prefix(numbers, axis, a, b, state, flags, initial)

    def body(constants: Tree, h: State, slot: Tree) -> Tree:
        (still, initial), (moving, b_t, (start, valid)) = constants, slot
        entering = where(start, initial, h)
        after = plus(numbers.act(moving if still is None else still, entering), b_t)
        after = after if valid is None else where(valid, after, entering)
        return after, after

    still, moving = _split(a, axis, _length(b, axis))
    return fold_in_place(body, (still, initial), state, (moving, b, flags), axis)[1]


@broadcasting
def _recurrence_forward(
    numbers: Numbers, axis: int, a: Array, b: Array, state: State, flags: Array, initial: State
) -> Tree:
    # Not the function itself, which has no forward mode: so the gradient has one (a Hessian).
    states = _states(numbers, axis, a, b, state, flags, initial)
    return states, (a, states, state, flags, initial)


@broadcasting
def _recurrence_backward(numbers: Numbers, axis: int, residuals: Tree, cotangents: Array) -> Tree:
    """``db_t = g_t + a_{t+1}^T db_{t+1}`` and ``da_t = db_t h_{t-1}^T``, conjugated where complex."""
    a, states, state, flags, initial = residuals
    start, valid = flags
    by_prefix = _by_prefix(a, states, axis)
    constant = _length(a, axis) != _length(states, axis) and not by_prefix
    adjoints = _all_adjoints if by_prefix else _adjoints_and_sum if constant else _adjoints
    h = Before(state, states)
    (dstate, *more), after = adjoints(numbers, axis, a, h, cotangents, flags, initial)
    zeros = jax.tree.map(jnp.zeros_like, after)
    db = after if valid is None else where(valid, after, zeros)
    if constant:
        da = jax.tree.map(lambda x, like: _sum_to(jnp.expand_dims(x, axis), like), *more, a)
    else:
        da = _gradient_in_a(numbers, axis, a, db, (state, states), start, initial)
    if start is None:
        return da, db, dstate, (None, None), None
    dinitial = where(start, _undo(numbers, a, after, valid), zeros)
    dinitial = jax.tree.map(partial(jnp.sum, axis=axis), dinitial)
    return da, db, dstate, (None, None), dinitial


linear_recurrence.defvjp(_recurrence_forward, _recurrence_backward)


def _gradient_in_a(
    numbers: Numbers, axis: int, a: Array, db: Array, h: State, start: Array, initial: State
) -> Tree:
    """``db_t h_{t-1}^T`` of the first step, which begins with the incoming state, and of the others.

    In two parts: the states, shifted by a step, would be a copy of them.
    """
    state, states = h
    length = _length(db, axis)
    fresh, state = jax.tree.map(lambda x: jnp.expand_dims(x, axis), (initial, state))

    def steps(tree: Tree, begin: int, end: int) -> Tree:
        return jax.tree.map(lambda x: jax.lax.slice_in_dim(x, begin, end, axis=axis), tree)

    def part(begin: int, end: int, given: Array) -> Tree:
        db_t, start_t = steps((db, start), begin, end)
        return numbers.outer(db_t, where(start_t, fresh, given))

    first, others = part(0, 1, state), part(1, length, steps(states, 0, length - 1))

    def together(x: Array, y: Array, like: Array) -> Tree:
        return _sum_to(jnp.concat([x, y], axis=axis), like)

    return jax.tree.map(together, first, others, a)


def _nothing(cotangents: Array, axis: int) -> Tree:
    """Zeros, as one step of the cotangents."""

    def leaf(g: Array) -> Tree:
        return jnp.zeros_like(jax.lax.index_in_dim(g, 0, axis, keepdims=False))

    return jax.tree.map(leaf, cotangents)


def _adjoints(
    numbers: Numbers, axis: int, a: Array, h: Before, cotangents: Array, flags: Array, initial: State
) -> Tree:  # fmt: skip
    """``((dstate,), adjoints)``, of the state after each step its cotangent and what later steps want."""

    def body(constants: Tree, carry: Tree, slot: Tree) -> Tree:
        (dh,), (a_t, g, flags) = carry, slot
        dh = plus(g, dh)
        return (_leave(numbers, a_t, dh, flags),), dh

    carry = (_nothing(cotangents, axis),)
    return fold_in_place(body, None, carry, (a, cotangents, flags), axis, reverse=True)


def _all_adjoints(
    numbers: Numbers, axis: int, a: Array, h: Before, cotangents: Array, flags: Array, initial: State
) -> Tree:  # fmt: skip
    """The same, all steps side by side."""
    after = _adjoints_by_prefix(numbers, axis, a, cotangents, flags)

    def first(x: Array) -> Array:
        return jax.lax.index_in_dim(x, 0, axis, keepdims=False)

    return (_leave(numbers, *jax.tree.map(first, (a, after, flags))),), after


def _adjoints_and_sum(
    numbers: Numbers, axis: int, a: Array, h: Before, cotangents: Array, flags: Array, initial: State
) -> Tree:  # fmt: skip
    """``((dstate, da), adjoints)`` of constant decays.

    Here the products are made in the loop: their sum over all steps would read each of them twice.
    """
    zeros = _nothing(cotangents, axis)

    def body(constants: Tree, carry: Tree, slot: Tree) -> Tree:
        (a, initial), (dh, da) = constants, carry
        g, h, (start, valid) = slot
        dh = plus(g, dh)
        db = dh if valid is None else where(valid, dh, jax.tree.map(jnp.zeros_like, dh))
        da = plus(da, numbers.outer(db, where(start, initial, h)))
        return (_leave(numbers, a, dh, (start, valid)), da), dh

    still = jax.tree.map(lambda x: jnp.squeeze(x, axis), a)
    da = jax.tree.map(jnp.zeros_like, numbers.outer(zeros, zeros))
    slots = (cotangents, h, flags)
    return fold_in_place(body, (still, initial), (zeros, da), slots, axis, reverse=True)


def _undo(numbers: Numbers, a: Array, after: Array, valid: Array) -> Tree:
    """The adjoint of the state that a step is given, behind a start, from that of the state after it."""
    given = numbers.pull(a, after)
    return given if valid is None else where(valid, given, after)


def _leave(numbers: Numbers, a: Array, after: Array, flags: Array) -> Tree:
    """The adjoint of the state before a step: 0 where it is a start."""
    start, valid = flags
    given = _undo(numbers, a, after, valid)
    return where(start, jax.tree.map(jnp.zeros_like, given), given)


# --- by prefix scans ---------------------------------------------------------------------------------


def _states_by_prefix(
    numbers: Numbers, axis: int, a: Array, b: Array, state: State, flags: Array, initial: State
) -> Tree:
    """The state after each step; time at ``axis``."""
    start, valid = flags
    length = jax.tree.leaves(b)[0].shape[axis]
    first = (jnp.arange(length) == 0).reshape(*(1,) * axis, length)

    def ahead(h: Array) -> Array:
        return jnp.expand_dims(h, axis)

    nothing = jax.tree.map(jnp.zeros_like, b)
    entering = where(first, jax.tree.map(ahead, state), nothing)
    if start is not None:
        entering = where(start, jax.tree.map(ahead, initial), entering)
    a = _of_every_step(numbers, axis, a, length, valid)
    b = b if valid is None else where(valid, b, nothing)
    return _scan(numbers.act, numbers.product, axis, start, a, plus(numbers.act(a, entering), b))


def _adjoints_by_prefix(
    numbers: Numbers, axis: int, a: Array, cotangents: Array, flags: Array
) -> Tree:
    """Of the state after each step, its cotangent and what later steps want: from the last step on."""
    start, valid = flags
    length = jax.tree.leaves(cotangents)[0].shape[axis]
    a = _of_every_step(numbers, axis, a, length, valid)
    start, a = jax.tree.map(
        lambda x: jnp.roll(x, -1, axis), (start, a)
    )  # nothing asks the last one

    def product(a: Array, b: Array) -> Array:
        return numbers.product(b, a)

    return _scan(numbers.pull, product, axis, start, a, cotangents, reverse=True)


def _of_every_step(numbers: Numbers, axis: int, a: Array, length: int, valid: Array) -> Array:
    """``a`` with all steps; where one is not valid, that which changes nothing."""

    def leaf(x: Array) -> Array:
        return jnp.broadcast_to(x, (*x.shape[:axis], length, *x.shape[axis + 1 :]))

    a = jax.tree.map(leaf, a)
    return a if valid is None else where(valid, a, numbers.one(a))


def _scan(
    act: _Times, product: _Times, axis: int, start: Array, a: Array, b: Array, reverse: bool = False
) -> Tree:
    """``h_t = a_t h_{t-1} + b_t``, and ``b_t`` at starts, by `jax.lax.associative_scan`."""

    def op(x: Tree, y: Tree) -> Tree:
        (start_x, a_x, b_x), (start_y, a_y, b_y) = x, y
        b = where(start_y, b_y, plus(act(a_y, b_x), b_y))
        return None if start_x is None else start_x | start_y, product(a_y, a_x), b

    return jax.lax.associative_scan(op, (start, a, b), reverse=reverse, axis=axis)[2]
