"""Triangular systems: the writes of a chunk that depend on each other."""

from __future__ import annotations

import numpy as np

from memcore.backend import all_finite, asarray_like, device_kind, is_jax, namespace
from memcore.cell import Array

SOLVED = "memcore.solved"
"""The name of what was solved, for `checkpoint`: it takes more time to find than room to keep."""

BLOCK = 16
"""The largest system that is inverted whole: halves have less arithmetic, and more calls."""


def unit_lower_solve(lower: Array, b: Array) -> Array:
    """``x`` of ``(I + L) x = b``, L being what lies below the diagonal of ``lower (..., C, C)``.

    By substitution, row after row; on a GPU or a TPU in matmuls, and as accurate. What is not finite is the
    largest number: times the 0 of a row that does not read it, that is 0. On JAX the derivative is that
    of a solution.
    """
    if is_jax(lower, b):
        from memcore.ops.matrix import _jax

        in_rows = device_kind(b) == "cpu"
        return _jax.by_substitution(lower, b) if in_rows else _jax.in_matmuls(lower, b)
    x = namespace(b).asarray(b, copy=True)
    for i in range(b.shape[-2]):
        row = (..., slice(i, i + 1), slice(None))
        x[row] = saturated(b[row] - lower[..., i : i + 1, :i] @ x[..., :i, :])
    return x


def saturated(x: Array) -> Array:
    """``x``, where it is not finite the largest number."""
    xp = namespace(x)
    largest = xp.asarray(xp.finfo(x.dtype).max, dtype=x.dtype)
    return xp.where(xp.abs(x) < largest, x, largest)


def contained_solve(lower: Array, b: Array, pairs: Array) -> tuple[Array, Array]:
    """`unit_lower_solve` where numbers may have overflowed: ``(x, wrong)``.

    ``pairs (..., C, C)`` says which rows depend on which. ``wrong (..., C)`` are the rows that depend on one
    that is not finite; those themselves are 0 in x, so that products with 0 stay 0.
    """
    x = unit_lower_solve(lower, b)
    xp = namespace(x)
    wrong = xp.any(xp.abs(x) >= xp.finfo(x.dtype).max, axis=-1)
    x = xp.where(wrong[..., None], xp.zeros_like(x), x)
    return x, xp.any(pairs & wrong[..., None, :], axis=-1)


def by_inverse(lower: Array, b: Array) -> tuple[Array, Array]:
    """`unit_lower_solve` in matmuls: ``(inverse, x)``, x by the inverse and one refinement.

    With repeated keys and strengths near 2 the inverse alone loses two more digits, how many depends on
    the machine's matmuls.
    """
    xp = namespace(b)
    wrong = ~(all_finite(lower, lower.ndim - 1) & all_finite(b, b.ndim - 1))[..., None]
    lower, b = (xp.where(wrong, xp.zeros_like(x), x) for x in (lower, b))
    inverse = unit_lower_inverse(lower)
    x = inverse @ b
    # What is left may overflow where x does not; the zeros of the inverse times that are not 0.
    x = x + inverse @ _finite(left(lower, b, _finite(x)))
    return inverse, saturated(xp.where(wrong, xp.asarray(np.inf, dtype=x.dtype), x))


def left(lower: Array, b: Array, x: Array) -> Array:
    """``b - (I + L) x``"""
    return b - x - namespace(lower).tril(lower, k=-1) @ x


def _finite(x: Array) -> Array:
    xp = namespace(x)
    return xp.where(xp.isfinite(x), x, xp.zeros_like(x))


def unit_lower_inverse(lower: Array) -> Array:
    """``(I + L)^-1`` in matmuls: halves are inverted, side by side, and joined.

    ``[[A, 0], [L, B]]^-1`` has the lower part ``-B^-1 L A^-1``. The product of ``I + (-L)^(2^i)`` would lose
    all digits to cancellation once keys repeat (powers of L grow like binomials). Rows that overflow
    spoil no others.
    """
    size = lower.shape[-1]
    if size <= BLOCK:
        return _inverse_in_rounds(lower)
    xp, half = namespace(lower), size // 2
    first, last = lower[..., :half, :half], lower[..., half:, half:]
    if size % 2:
        first, last = unit_lower_inverse(first), unit_lower_inverse(last)
    else:
        both = unit_lower_inverse(xp.stack([first, last]))
        first, last = both[0, ...], both[1, ...]
    joined = -(last @ lower[..., half:, :half] @ _finite(first))
    above = xp.concat([first, xp.zeros_like(joined).mT], axis=-1)
    return xp.concat([above, xp.concat([joined, last], axis=-1)], axis=-2)


def _inverse_in_rounds(lower: Array) -> Array:
    """The same in log2(C) rounds: what is found of all blocks is joined, pair by pair, by whole matmuls."""
    xp = namespace(lower)
    size = lower.shape[-1]
    # Zeros that lie where L does: a chunk of one step has no product that would bring the identity there.
    found, width = xp.zeros_like(lower) + xp.eye(size, dtype=lower.dtype), 1
    while width < size:
        row = np.arange(size)[:, None] // width
        joins = (row % 2 == 1) & (row == row.T + 1)
        block = xp.where(asarray_like(joins, lower), lower, xp.zeros_like(lower))
        clean = found if width == 1 else _finite(found)
        found = found - (block if width == 1 else clean @ block @ clean)
        width *= 2
    return found
