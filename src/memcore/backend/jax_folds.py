"""A fold over time that moves nothing: it indexes the time axis where it stands.

`jax.lax.scan` wants time in front, and moving it there and back costs more than many a recurrence. A loop
that writes each step into a buffer does not; but differentiated as it stands, it would copy all of the
buffer at every step. So it has a derivative of its own, which is that of `jax.lax.scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from memcore.types import Array, Tree

Body: TypeAlias = Callable[[Any, Any, Any], Any]
"""``carry, y = body(constants, carry, x)``."""


def fold_in_place(
    body: Body, constants: Tree, carry: Tree, xs: Tree, axis: int,
    reverse: bool = False, ahead: bool = False, over: bool = False,
) -> Tree:  # fmt: skip
    """``carry, y_t = body(constants, carry, x_t)`` over ``axis`` of ``xs``; ``(carry, ys)``.

    ``body`` closes over no array: all that it needs are its arguments. With ``ahead`` each step takes out of
    ``xs`` what the next one needs. XLA for CPUs makes no vectors of a loop that indexes ``xs`` itself: where
    the body has exponentials, that costs two to three times more than the copies. With ``over``
    (and not ``ahead``) ``xs`` is a pair, and each ``y`` is written over what the step read of the second:
    it has the same types, and one buffer holds both.
    """
    return _fold(body, axis, reverse, ahead, over, constants, carry, xs)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3, 4))
def _fold(
    body: Body, axis: int, reverse: bool, ahead: bool, over: bool,
    constants: Tree, carry: Tree, xs: Tree,
) -> Tree:  # fmt: skip
    length = jax.tree.leaves(xs)[0].shape[axis]

    def slot(t: Array, xs: Tree = xs) -> Tree:
        index = jax.lax.dynamic_index_in_dim
        return jax.tree.map(lambda x: index(x, t, axis, keepdims=False), xs)

    def put(ys: Tree, y: Array, t: Array) -> Tree:
        update = jax.lax.dynamic_update_index_in_dim
        return jax.tree.map(lambda into, new: update(into, new, t, axis), ys, y)

    def place(i: Array) -> Array:
        return length - 1 - i if reverse else i

    def one(i: Array, both: Tree) -> Tree:
        carry, ys, x = both
        if not ahead:
            x = slot(place(i), (xs[0], ys) if over else xs)
        carry, y = body(constants, carry, x)
        following = slot(place(jnp.minimum(i + 1, length - 1))) if ahead else None
        return carry, put(ys, y, place(i)), following

    def buffer(y: Array) -> Tree:
        shape = (*y.shape[:axis], length, *y.shape[axis:])
        return jnp.zeros_like(jnp.broadcast_to(jnp.expand_dims(y, axis), shape))

    if over:
        ys = xs[1]
    else:  # a step, for its type alone: where it lies, not only its shape
        ys = jax.tree.map(buffer, body(constants, carry, slot(0))[1])
    first = slot(place(0)) if ahead else None
    return jax.lax.fori_loop(0, length, one, (carry, ys, first))[:2]


@_fold.defjvp
def _fold_jvp(
    body: Body, axis: int, reverse: bool, ahead: bool, over: bool, primals: Tree, tangents: Tree
) -> Tree:
    return jax.jvp(partial(_scan, body, axis, reverse), primals, tangents)


def _scan(body: Body, axis: int, reverse: bool, constants: Tree, carry: Tree, xs: Tree) -> Tree:
    xs = jax.tree.map(lambda x: jnp.moveaxis(x, axis, 0), xs)
    carry, ys = jax.lax.scan(partial(body, constants), carry, xs, reverse=reverse)
    return carry, jax.tree.map(lambda y: jnp.moveaxis(y, 0, axis), ys)


def where(flag: Array, x: Array, y: Array) -> Tree:
    """``x`` where ``flag`` (leading axes) is set, else ``y``; None for ``flag`` is ``y``."""
    if flag is None:
        return y

    def leaf(x: Array, y: Array) -> Tree:
        return jnp.where(flag.reshape(flag.shape + (1,) * (y.ndim - flag.ndim)), x, y)

    return jax.tree.map(leaf, x, y)


def before(state: Tree, after: Tree, axis: int) -> Tree:
    """The state before each step, from the incoming one and those after each."""

    def leaf(h: Array, hs: Array) -> Array:
        early = jax.lax.slice_in_dim(hs, 0, hs.shape[axis] - 1, axis=axis)
        return jnp.concat([jnp.expand_dims(h, axis), early], axis=axis)

    return jax.tree.map(leaf, state, after)
