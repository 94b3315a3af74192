"""The linear recurrence and its adjoint as prefix scans, for devices that run many steps side by side.

A start is a select between two elements, not a factor 0: what overflowed before it is not 0 times that.
Behind a start no product of transitions is needed, so those of a constant ``a`` have no batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from memcore.backend.jax_folds import where
from memcore.ops.linear.numbers import Numbers, plus
from memcore.types import Array, State, Tree

Times: TypeAlias = Callable[[Array, Array], Array]


def states(
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


def adjoints(numbers: Numbers, axis: int, a: Array, cotangents: Array, flags: Array) -> Tree:
    """Of the state after each step, its cotangent and what later steps want: from the last step on."""
    start, valid = flags
    length = jax.tree.leaves(cotangents)[0].shape[axis]
    a = _of_every_step(numbers, axis, a, length, valid)
    start, a = jax.tree.map(lambda x: jnp.roll(x, -1, axis), (start, a))  # nothing asks the last one

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
    act: Times, product: Times, axis: int, start: Array, a: Array, b: Array, reverse: bool = False
) -> Tree:
    """``h_t = a_t h_{t-1} + b_t``, and ``b_t`` at starts, by `jax.lax.associative_scan`."""

    def op(x: Tree, y: Tree) -> Tree:
        (start_x, a_x, b_x), (start_y, a_y, b_y) = x, y
        b = where(start_y, b_y, plus(act(a_y, b_x), b_y))
        return None if start_x is None else start_x | start_y, product(a_y, a_x), b

    return jax.lax.associative_scan(op, (start, a, b), reverse=reverse, axis=axis)[2]
