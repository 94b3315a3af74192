"""The solution of a triangular system with a derivative of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from memcore.backend.jax_functions import broadcasting
from memcore.cell import Array
from memcore.ops.matrix.triangular import SOLVED, refined, refined_tangent
from memcore.types import Tree


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _unit_lower_inverse(f: Callable[[Array], Array], lower: Array) -> Array:
    return f(lower)


@_unit_lower_inverse.defjvp
@broadcasting
def _unit_lower_inverse_jvp(f: Callable[[Array], Array], primals: Tree, tangents: Tree) -> Array:
    """``d(M^-1) = -M^-1 dM M^-1``: two matmuls, where the rounds of ``f`` have many."""
    result = _unit_lower_inverse(f, *primals)
    return result, -(result @ jnp.tril(tangents[0], -1) @ result)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def unit_lower_solve(inverse: Callable[[Array], Array], lower: Array, b: Array) -> Array:
    return refined(_unit_lower_inverse(inverse, lower), lower, b)


@unit_lower_solve.defjvp
@broadcasting
def _unit_lower_solve_jvp(
    inverse: Callable[[Array], Array], primals: Tree, tangents: Tree
) -> Array:
    """``M dx = db - dM x``."""
    (lower, b), (dlower, db) = primals, tangents
    found = checkpoint_name(_unit_lower_inverse(inverse, lower), SOLVED)
    x = checkpoint_name(refined(found, lower, b), SOLVED)
    return x, refined_tangent(found, lower, db - jnp.tril(dlower, -1) @ x)
