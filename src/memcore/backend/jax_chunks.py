"""A fold over chunks of time that moves nothing, and whose gradient makes each chunk again.

What is kept for the gradient is the state before each chunk. It is the same fold, from the last chunk to the
first: both read chunks where they stand, and write there.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from memcore.backend.jax_folds import Body, fold_in_place
from memcore.backend.jax_functions import broadcasting
from memcore.types import Array, Tree


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def checkpointed_fold(body: Body, axis: int, constants: Tree, carry: Tree, xs: Tree) -> Tree:
    """`fold_in_place`, with a gradient of its own and no forward mode."""
    return fold_in_place(body, constants, carry, xs, axis)


@broadcasting
def _forward(body: Body, axis: int, constants: Tree, carry: Tree, xs: Tree) -> Tree:
    def one(constants: Tree, before: Tree, x: Tree) -> Tree:
        after, y = body(constants, before, x)
        return after, (y, before)

    carry, (ys, before) = fold_in_place(one, constants, carry, xs, axis)
    return (carry, ys), (constants, xs, before)


@broadcasting
def _backward(body: Body, axis: int, residuals: Tree, cotangents: Tree) -> Tree:
    constants, xs, before = residuals
    after, ys = cotangents

    def one(constants: Tree, carry: Tree, slot: Tree) -> Tree:
        (total, after), (x, before, y) = carry, slot
        floats, others = _split(x)

        def again(constants: Tree, before: Tree, floats: list[Array]) -> Tree:
            return body(constants, before, _joined(x, floats, others))

        _, pull = jax.vjp(again, constants, before, floats)
        more, before, floats = pull((after, y))
        return (jax.tree.map(jnp.add, total, more), before), floats

    begin = (jax.tree.map(jnp.zeros_like, constants), after)
    slots = (xs, before, ys)
    (total, carry), floats = fold_in_place(one, constants, begin, slots, axis, reverse=True)
    return total, carry, _joined(xs, floats, [None] * len(_split(xs)[1]))


checkpointed_fold.defvjp(_forward, _backward)


def _is_float(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _split(xs: Tree) -> tuple[list[Array], list[Array]]:
    """The leaves that have gradients, and the others."""
    leaves = jax.tree.leaves(xs)
    return [x for x in leaves if _is_float(x)], [x for x in leaves if not _is_float(x)]


def _joined(xs: Tree, floats: list[Array], others: list[Array]) -> Tree:
    """The tree of `_split`, of other leaves."""
    leaves, structure = jax.tree.flatten(xs)
    floating, rest = iter(floats), iter(others)
    return structure.unflatten([next(floating if _is_float(x) else rest) for x in leaves])
