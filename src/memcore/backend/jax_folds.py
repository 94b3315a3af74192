"""A fold over time that moves nothing: it indexes the time axis where it stands.

`jax.lax.scan` wants time in front, and moving it there and back costs more than many a recurrence. A loop
that writes each step into a buffer does not; but differentiated as it stands, it would copy all of the
buffer at every step. So it has a derivative of its own, which is that of `jax.lax.scan`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp

from memcore.backend.jax_functions import broadcasting, in_parts, platform
from memcore.backend.loops import FEWEST_STEPS
from memcore.backend.values import is_symbolic
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
    length = _length(xs, axis)

    def place(i: Array) -> Array:
        return length - 1 - i if reverse else i

    def one(i: Array, both: Tree) -> Tree:
        carry, ys, x = both
        if not ahead:
            x = slot_of((xs[0], ys) if over else xs, place(i), axis)
        carry, y = body(constants, carry, x)
        following = _following(xs, i, length, carry, place, axis) if ahead else None
        return carry, _put(ys, y, place(i), axis), following

    ys = xs[1] if over else _buffers(body(constants, carry, slot_of(xs, 0, axis))[1], length, axis)
    first = slot_of(xs, place(0), axis) if ahead else None
    return jax.lax.fori_loop(0, length, one, (carry, ys, first))[:2]


def _following(
    xs: Tree, i: Array, length: int, carry: Tree, place: Callable[[Array], Array], axis: int
) -> Tree:
    """What the step after ``i`` reads, taken out when that is done: XLA would take it out before, where two
    copies keep it apart from what the step reads itself. That it depends on what came of the step, and by
    nothing, XLA cannot see."""
    t = place(jnp.minimum(i + 1, length - 1))
    numbers = [x for x in jax.tree.leaves(carry) if x.size and not in_parts(x)]
    # Of a carry that lies on several devices its first number would be sent to all, at every step.
    if numbers and jax.device_count() == 1 and platform(numbers[0]) == "cpu":
        t = _after(t, numbers[0].reshape(-1)[0])
    return slot_of(xs, t, axis)


@jax.custom_batching.custom_vmap
def _after(t: Array, first: Array) -> Array:
    return t + jnp.minimum((first != first).astype(t.dtype), 0)


@_after.def_vmap
def _after_vmap(size: int, batched: Tree, t: Array, first: Array) -> Tree:
    # One ``t`` for all: a slice, no gather. Of no sequences there is no first number.
    return _after(t, first[0] if batched[1] else first) if size else t, False


def fold_of_chunks(
    make: Callable[[Tree, Tree], Tree], body: Body, constants: Tree, carry: Tree, xs: Tree, axis: int,
    size: int,
) -> Tree:  # fmt: skip
    """`fold_in_place` with ``ahead`` of ``make(constants, xs)``, which is made of ``size`` steps at once, as
    they come: ``(carry, ys)``. There may be fewer; under `jax.vmap` ``size`` is divided by the batch.
    ``make`` too closes over no array."""
    return _fold_of_chunks(make, body, axis, size, constants, carry, xs)


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2, 3))
def _fold_of_chunks(
    make: Callable[[Tree, Tree], Tree], body: Body, axis: int, size: int,
    constants: Tree, carry: Tree, xs: Tree,
) -> Tree:  # fmt: skip
    return _of_size(partial(_run_chunks, make, body, axis), size)(constants, carry, xs)


def _of_size(run: Callable[..., Tree], size: int) -> Callable[..., Tree]:
    """``run(size, ...)``; of fewer steps under `jax.vmap`, which makes each of them wider."""
    chosen = jax.custom_batching.custom_vmap(partial(run, size))

    @chosen.def_vmap
    @broadcasting
    def rule(many: int, batched: Tree, *args: Tree) -> Tree:
        axes = jax.tree.map(lambda b: 0 if b else None, tuple(batched))

        def wider(size: int, *args: Tree) -> Tree:
            return jax.vmap(partial(run, size), axes)(*args)

        fewer = size if is_symbolic(many) else size // max(many, 1)
        out = _of_size(wider, 1 if fewer < FEWEST_STEPS else fewer)(*args)
        return out, jax.tree.map(lambda _: True, out)

    return chosen


def _run_chunks(
    make: Callable[[Tree, Tree], Tree], body: Body, axis: int, size: int,
    constants: Tree, carry: Tree, xs: Tree,
) -> Tree:  # fmt: skip
    length = _length(xs, axis)
    if size == 1:  # what is made of a step is what it takes: nothing to keep

        def step(constants: Tree, carry: Tree, x: Tree) -> Tree:
            wide = jax.tree.map(lambda x: jnp.expand_dims(x, axis), x)
            return body(constants, carry, slot_of(make(constants, wide), 0, axis))

        return fold_in_place(step, constants, carry, xs, axis)
    chunks = -(-length // size)
    # Of one length: the last one makes as many steps as the others.
    size = -(-length // max(chunks, 1))

    def chunk(k: Array, both: Tree) -> Tree:
        # The last one begins where a whole one fits, and runs the steps that are left.
        begin = jnp.minimum(k * size, length - size)
        piece = partial(jax.lax.dynamic_slice_in_dim, allow_negative_indices=False)
        cut = jax.tree.map(lambda x: piece(x, begin, size, axis), xs)
        made = make(constants, cut)

        def one(i: Array, both: Tree) -> Tree:
            carry, ys, x = both
            carry, y = body(constants, carry, x)
            following = _following(made, i, size, carry, lambda t: t, axis)
            return carry, _put(ys, y, begin + i, axis), following

        first = k * size - begin
        return jax.lax.fori_loop(first, size, one, (*both, slot_of(made, first, axis)))[:2]

    one = jax.tree.map(lambda x: jax.lax.slice_in_dim(x, 0, 1, axis=axis), xs)
    y = body(constants, carry, slot_of(make(constants, one), 0, axis))[1]
    return jax.lax.fori_loop(0, chunks, chunk, (carry, _buffers(y, length, axis)))


def _length(xs: Tree, axis: int) -> int:
    return jax.tree.leaves(xs)[0].shape[axis]


class Before(NamedTuple):
    """Of ``after (..., T, ...)`` a fold is given that of the step before, of the first step ``first``."""

    first: Tree
    after: Tree


def _is_before(x: Tree) -> bool:
    return isinstance(x, Before)


def slot_of(xs: Tree, t: Array, axis: int) -> Tree:
    """One step of arrays with the time at ``axis``."""
    index = partial(jax.lax.dynamic_index_in_dim, keepdims=False, allow_negative_indices=False)

    def leaf(x: Array) -> Tree:
        if not _is_before(x):
            return index(x, t, axis)
        earlier = slot_of(x.after, jnp.maximum(t - 1, 0), axis)
        return jax.tree.map(lambda first, h: jnp.where(t == 0, first, h), x.first, earlier)

    return jax.tree.map(leaf, xs, is_leaf=_is_before)


def _put(ys: Tree, y: Array, t: Array, axis: int) -> Tree:
    update = partial(jax.lax.dynamic_update_index_in_dim, allow_negative_indices=False)
    return jax.tree.map(lambda into, new: update(into, new, t, axis), ys, y)


def _buffers(y: Tree, length: int, axis: int) -> Tree:
    """Zeros for ``length`` of what a step gave: it is run for its type, where it lies, not only its shape."""

    def buffer(y: Array) -> Tree:
        shape = (*y.shape[:axis], length, *y.shape[axis:])
        return jnp.zeros_like(jnp.broadcast_to(jnp.expand_dims(y, axis), shape))

    return jax.tree.map(buffer, y)


@_fold.defjvp
@broadcasting
def _fold_jvp(
    body: Body, axis: int, reverse: bool, ahead: bool, over: bool, primals: Tree, tangents: Tree
) -> Tree:
    return jax.jvp(partial(_scan, body, axis, reverse), primals, tangents)


@_fold_of_chunks.defjvp
@broadcasting
def _fold_of_chunks_jvp(
    make: Callable[[Tree, Tree], Tree],
    body: Body,
    axis: int,
    size: int,
    primals: Tree,
    tangents: Tree,
) -> Tree:
    def whole(constants: Tree, carry: Tree, xs: Tree) -> Tree:
        return _scan(body, axis, False, constants, carry, make(constants, xs))

    return jax.jvp(whole, primals, tangents)


def _scan(body: Body, axis: int, reverse: bool, constants: Tree, carry: Tree, xs: Tree) -> Tree:
    def shifted(x: Tree) -> Tree:
        return before(x.first, x.after, axis) if _is_before(x) else x

    xs = jax.tree.map(shifted, xs, is_leaf=_is_before)
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
