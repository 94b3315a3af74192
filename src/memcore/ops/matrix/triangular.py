"""Triangular systems in matmuls: the writes of a chunk that depend on each other."""

from __future__ import annotations

import numpy as np

from memcore.backend import asarray_like, is_jax, namespace
from memcore.cell import Array


def unit_lower_solve(lower: Array, b: Array) -> Array:
    """``x`` of ``(I + L) x = b``, L being what lies below the diagonal of ``lower (..., C, C)``.

    As accurate as substitution, in matmuls: the inverse, and one refinement. With repeated keys and
    strengths near 2 the inverse alone loses two more digits, how many depends on the machine's matmuls.
    On JAX the derivative is that of a solution, not that of how the inverse is found.
    """
    if is_jax(lower, b):
        from memcore.ops.matrix import _jax

        return _jax.unit_lower_solve(unit_lower_inverse, lower, b)
    return refined(unit_lower_inverse(lower), lower, b)


def refined(inverse: Array, lower: Array, b: Array) -> Array:
    """``inverse @ b``, and what is left of b solved once more."""
    x = inverse @ b
    return x + inverse @ (b - x - namespace(lower).tril(lower, k=-1) @ x)


def unit_lower_inverse(lower: Array) -> Array:
    """``(I + L)^-1`` in log2(C) rounds of matmuls.

    Diagonal blocks are inverted and joined, pair by pair: ``[[A, 0], [L, B]]^-1`` has the lower part
    ``-B^-1 L A^-1``. The product of ``I + (-L)^(2^i)`` would lose all digits to cancellation once keys
    repeat (powers of L grow like binomials).
    """
    xp = namespace(lower)
    size = lower.shape[-1]
    found, width = xp.broadcast_to(xp.eye(size, dtype=lower.dtype), lower.shape), 1
    while width < size:
        row = np.arange(size)[:, None] // width
        joins = (row % 2 == 1) & (row == row.T + 1)
        block = xp.where(asarray_like(joins, lower), lower, xp.zeros_like(lower))
        found = found - (block if width == 1 else found @ block @ found)
        width *= 2
    return found
