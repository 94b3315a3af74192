"""The solution of a triangular system with a derivative of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from memcore.backend.jax_functions import broadcasting
from memcore.cell import Array
from memcore.ops.matrix.triangular import SOLVED, by_inverse, left, saturated
from memcore.types import Tree


@jax.custom_jvp
def by_substitution(lower: Array, b: Array) -> Array:
    """A loop over rows: XLA for CPUs multiplies small matrices one by one, and slowly."""
    return _substituted(saturated, range(b.shape[-2]), lower, b)


@by_substitution.defjvp
@broadcasting
def _by_substitution_jvp(primals: Tree, tangents: Tree) -> Array:
    """``(I + L) dx = db - dL x``"""
    (lower, b), (dlower, db) = primals, tangents
    x = by_substitution(lower, b)
    return x, _linear(lower, db - jnp.tril(dlower, -1) @ x)


def _linear(lower: Array, b: Array) -> Array:
    """The solution as a linear function of b, whose own derivative solves the transposed system."""
    rows, strict = range(b.shape[-2]), jnp.tril(lower, -1)

    def solve(_: Callable[[Array], Array], b: Array) -> Array:
        return _substituted(lambda row: row, rows, strict, b)

    def solve_transposed(_: Callable[[Array], Array], b: Array) -> Array:
        return _substituted(lambda row: row, rows[::-1], strict.mT, b)

    return jax.lax.custom_linear_solve(lambda x: x + strict @ x, b, solve, solve_transposed)


def _substituted(made: Callable[[Array], Array], rows: range, lower: Array, b: Array) -> Array:
    """``x_i = made(b_i - lower_i x)``, row after row; those that are still to come are 0."""
    axis = b.ndim - 2
    take = partial(
        jax.lax.dynamic_slice_in_dim, slice_size=1, axis=axis, allow_negative_indices=False
    )

    def one(n: Array, x: Array) -> Array:
        i = rows.start + rows.step * n
        row = made(take(b, i) - take(lower, i) @ x)
        return jax.lax.dynamic_update_slice_in_dim(x, row, i, axis, allow_negative_indices=False)

    return jax.lax.fori_loop(0, len(rows), one, jnp.zeros_like(b))


@jax.custom_jvp
def in_matmuls(lower: Array, b: Array) -> Array:
    """What many small matrices at once are for."""
    return by_inverse(lower, b)[1]


@in_matmuls.defjvp
@broadcasting
def _in_matmuls_jvp(primals: Tree, tangents: Tree) -> Array:
    """``(I + L) dx = db - dL x``, linear in both."""
    (lower, b), (dlower, db) = primals, tangents
    inverse, x = (checkpoint_name(part, SOLVED) for part in by_inverse(lower, b))
    db = db - jnp.tril(dlower, -1) @ x
    dx = inverse @ db
    return x, dx + inverse @ left(lower, db, dx)
