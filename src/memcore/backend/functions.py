"""Functions that JAX has of its own: what they are there, and what they are elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from memcore.backend.namespace import device_kind, is_jax, namespace
from memcore.backend.tree import tree_leaves, tree_map
from memcore.types import Array, Tree


def checkpoint(f: Callable[..., Any], *example: Tree, but: str | None = None) -> Callable[..., Any]:
    """``f``, whose inner values are computed again in the backward pass instead of being kept, but those
    whose `jax.ad_checkpoint.checkpoint_name` is ``but``.

    ``example`` are arrays or trees that tell whether JAX is in use; elsewhere ``f`` is returned.
    """
    if is_jax(*example):
        from memcore.backend import jax_functions

        return jax_functions.checkpoint(f, but)
    return f


def stop_gradient(x: Tree) -> Tree:
    """``x``, which counts as a constant in gradients."""
    if is_jax(x):
        from memcore.backend import jax_functions

        return jax_functions.stop_gradient(x)
    return x


def product(x: Array, kernel: Array) -> Array:
    """``x @ kernel``, ``(..., in)`` by ``(in, out)``."""
    rows = _as_rows(x, 1)
    y = rows @ kernel
    return y if rows is x else namespace(y).reshape(y, (*x.shape[:-1], kernel.shape[1]))


def block_product(x: Array, kernel: Array) -> Array:
    """``(..., blocks, in)`` by ``(blocks, in, out)``, each block by its own matrix; something is in front."""
    rows, (blocks, *sizes) = _as_rows(x, 2), kernel.shape
    xp = namespace(rows)
    kernel = xp.reshape(kernel, (blocks, *(1,) * (rows.ndim - 3), *sizes))
    y = xp.moveaxis(xp.moveaxis(rows, -2, 0) @ kernel, 0, -2)
    return y if rows is x else xp.reshape(y, (*x.shape[:-1], sizes[1]))


def all_finite(x: Array, axes: int) -> Array:
    """For each index of the first ``axes`` axes: whether all numbers there are finite."""
    if is_jax(x) and x.ndim == axes + 1:
        from memcore.backend import jax_functions

        return jax_functions.all_finite(x)
    xp = namespace(x)
    return xp.all(xp.isfinite(x), axis=tuple(range(axes, x.ndim)))


def outer(x: Array, y: Array) -> Array:
    """``x_i y_j``, ``(..., M)`` by ``(..., N)``, in front of which are axes.

    On JAX's CPU a matmul, for the gradient's sake: XLA sums over any axis but the last many times slower
    than it multiplies matrices. Elsewhere not, where a matmul may round its factors.
    """
    if device_kind(x) == "cpu":
        return x[..., :, None] @ y[..., None, :]
    return x[..., :, None] * y[..., None, :]


def spread(x: Array, count: int) -> Array:
    """``(..., N)`` to be broadcast to ``(..., count, N)``; on JAX's CPU it is that already, as `outer`."""
    if device_kind(x) == "cpu":
        one = namespace(x).ones_like(x[..., :1])
        return outer(namespace(x).broadcast_to(one, (*x.shape[:-1], count)), x)
    return x[..., None, :]


def _as_rows(x: Array, axes: int) -> Array:
    """``x`` with one axis in front of its last ones, where JAX is the faster for it."""
    if is_jax(x):
        from memcore.backend import jax_functions

        return jax_functions.as_rows(x, axes)
    return x


def parts(x: Array, count: int) -> list[Array]:
    """``x`` in equal parts of its last axis; their gradients are put together in one piece."""
    if is_jax(x):
        from memcore.backend import jax_functions

        return jax_functions.parts(x, count)
    size = x.shape[-1] // count
    return [x[..., k * size : (k + 1) * size] for k in range(count)]


def compiled(run: Callable[..., Any], statics: tuple[Tree, ...], args: tuple[Tree, ...]) -> Tree:
    """``run(*statics, *args)``, compiled once per ``statics`` and shapes if an argument is JAX's."""
    if is_jax(args):
        from memcore.backend import jax_functions

        return jax_functions.compiled(run, statics, args)
    return run(*statics, *args)


def broadcasting(f: Callable[..., Any], like: Tree) -> Callable[..., Any]:
    """``f``, in which arrays of different ranks meet on purpose, whatever JAX's setting."""
    if is_jax(like):
        from memcore.backend import jax_functions

        return jax_functions.broadcasting(f)
    return f


def common_axes(tree: Tree) -> Tree:
    """The arrays, cast to the axes of ``shard_map`` over which any of them varies: what is made of them
    then has one type, and gradients of what was replicated are sums."""
    if is_jax(tree):
        from memcore.backend import jax_placement

        return jax_placement.common(tree)
    return tree


def placed_like(tree: Tree, like: Array, axes: int) -> Tree:
    """Arrays that were made here, lying where ``like`` does along the first ``axes`` axes."""
    if is_jax(like):
        from memcore.backend import jax_placement

        return tree_map(lambda x: jax_placement.placed(x, like, axes), tree)
    return tree


def in_parts(tree: Tree, axes: int) -> bool:
    """Whether an explicit mesh says where some of the first ``axes`` axes of an array lie."""
    if is_jax(tree):
        from memcore.backend import jax_functions

        return any(jax_functions.in_parts(x, 0, axes) for x in tree_leaves(tree))
    return False


def gathered(tree: Tree, axis_name: str) -> Tree:
    """The leaves of all devices of an axis, ``(devices, *leaf)``."""
    from memcore.backend import jax_collectives

    return jax_collectives.gathered(tree, axis_name)


def piece(axis_name: str) -> tuple[Array, int]:
    """``(index, count)``: which device of an axis this is, and how many there are."""
    from memcore.backend import jax_collectives

    return jax_collectives.piece(axis_name)


def of_last(tree: Tree, axis_name: str) -> Tree:
    """The leaves of the last device of an axis, on all of them."""
    from memcore.backend import jax_collectives

    return jax_collectives.of_last(tree, axis_name)


def of_one_before(tree: Tree, axis_name: str) -> Tree:
    """The leaves of the device before this one; zeros on the first."""
    from memcore.backend import jax_collectives

    return jax_collectives.of_one_before(tree, axis_name)


def everywhere(flag: Array, axis_name: str) -> Array:
    """``()``: whether all of a flag holds on all devices, those of the other axes of the `shard_map` too."""
    from memcore.backend import jax_collectives

    return jax_collectives.everywhere(flag, axis_name)


def rows(table: Array, index: Array) -> Array:
    """``table[index]``: ``(N, D)`` and ints ``(...)`` to ``(..., D)``."""
    if is_jax(table, index):
        from memcore.backend import jax_placement

        return jax_placement.rows(table, index)
    xp = namespace(table)
    found = xp.take(table, xp.reshape(index, (-1,)), axis=0)
    return xp.reshape(found, (*index.shape, *table.shape[1:]))


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``, without overflow and accurate in both tails; JAX has an instruction for it."""
    if is_jax(x):
        from memcore.backend import jax_functions

        return jax_functions.sigmoid(x)
    xp = namespace(x)
    # 1 / (1 + exp(-x)) above 0 and exp(x) / (1 + exp(x)) below it, in one quotient.
    return xp.exp(xp.minimum(x, xp.zeros((), dtype=x.dtype))) / (1.0 + xp.exp(-xp.abs(x)))


def sum_last(x: Array) -> Array:
    """The sum of numbers over the last axis, which stays with length 1."""
    if type(x) is np.ndarray:  # what NumPy's own sum ends in, without the questions before
        return np.add.reduce(x, axis=-1, keepdims=True)
    return namespace(x).sum(x, axis=-1, keepdims=True)
