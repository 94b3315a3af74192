"""Rotations from angles: the exponential of a skew-symmetric matrix."""

from __future__ import annotations

import math

import numpy as np

from memcore.backend import asarray_like, compiled, namespace
from memcore.nn import wide
from memcore.ops.arguments import as_floats
from memcore.types import Array

SQUARINGS = 8
COEFFICIENTS = [1 / math.factorial(i) for i in range(17)]


def rotation(angles: Array) -> Array:
    """``exp(U - U^T)``, U the strictly upper triangle filled with ``angles``, row by row.

    An orthogonal matrix of determinant 1: a transition of `dense_recurrence` that keeps norms
    (RotRNN, arXiv:2407.07239).

    Args:
        angles: ``(..., N (N - 1) / 2)``, in radians; of N = 2 the one angle, of which R is
            ``[[cos, sin], [-sin, cos]]``. Accurate to rounding while every row of ``|U - U^T|`` sums
            to at most 128.

    Returns:
        ``(..., N, N)``, for angles in half precision float32: a transition has the dtype of states.

    Raises:
        ValueError, TypeError: ``angles`` is no array of floating point numbers, or its last axis is not
            N (N - 1) / 2 for any N.
    """
    angles = as_floats("angles", angles, 1, "(..., N (N - 1) / 2)")
    count = angles.shape[-1]
    size = (1 + math.isqrt(1 + 8 * count)) // 2
    if size * (size - 1) // 2 != count:
        raise ValueError(
            f"angles has shape {tuple(angles.shape)}, expected (..., N (N - 1) / 2) for some N"
        )
    return compiled(_rotation, (size,), (angles,))


def _rotation(size: int, angles: Array) -> Array:
    return exponential(_skew(wide(angles), size))


def _skew(angles: Array, size: int) -> Array:
    """``U - U^T``."""
    xp = namespace(angles)
    # Every other place takes the zero that stands behind the angles.
    place = np.full((size, size), angles.shape[-1], dtype=np.int32)
    place[np.triu_indices(size, 1)] = np.arange(angles.shape[-1])
    zero = xp.zeros((*angles.shape[:-1], 1), dtype=angles.dtype)
    padded = xp.concat([angles, zero], axis=-1)
    upper = xp.take(padded, asarray_like(place.reshape(-1), angles), axis=-1)
    upper = xp.reshape(upper, (*angles.shape[:-1], size, size))
    return upper - upper.mT


def exponential(x: Array) -> Array:
    """The matrix exponential of ``x (..., N, N)`` by scaling and squaring of its Taylor polynomial.

    x is halved until no row of ``|x|`` sums to more than 1/2, at most `SQUARINGS` times; there the
    polynomial of degree 16 (six products, Paterson and Stockmeyer) is exact to rounding.
    """
    xp = namespace(x)
    norm = xp.max(xp.sum(xp.abs(x), axis=-1), axis=-1)[..., None, None]
    halve = [norm > 2.0 ** (i - 1) for i in range(SQUARINGS)]
    for flag in halve:
        x = xp.where(flag, 0.5 * x, x)
    result = _taylor(x)
    for flag in halve:
        result = xp.where(flag, result @ result, result)
    return result


def _taylor(x: Array) -> Array:
    """``sum of x^i / i!`` for i up to 16: a polynomial in x^4 whose coefficients are cubic in x."""
    square = x @ x
    powers = (namespace(x).eye(x.shape[-1], dtype=x.dtype), x, square, square @ x)
    fourth = square @ square

    def cubic(i: int) -> Array:
        return sum(c * p for c, p in zip(COEFFICIENTS[i : i + 4], powers, strict=True))

    result = COEFFICIENTS[16] * fourth + cubic(12)
    for i in (8, 4, 0):
        result = fourth @ result + cubic(i)
    return result
