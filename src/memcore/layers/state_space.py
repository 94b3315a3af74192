"""Diagonal complex state spaces: where they begin, and how they become discrete."""

from __future__ import annotations

import numpy as np

from memcore.backend import namespace
from memcore.cell import Array
from memcore.ops.linear.numbers import COMPLEX

Complex = tuple[Array, Array]
"""``(re, im)``."""


def hippo_n(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, by rising imaginary part, and eigenvectors of the normal part of HiPPO-LegS
    (arXiv:2206.11893)."""
    root = np.sqrt(2 * np.arange(size) + 1)
    skew = np.tril(-root[:, None] * root / 2, -1)
    imaginary, vectors = np.linalg.eigh(-1j * (skew - skew.T))
    return -0.5 + 1j * imaginary, vectors


def zero_order_hold(eigenvalue: Complex, step: Array) -> tuple[Complex, Complex]:
    """``a = exp(z)``, and ``(a - 1) / eigenvalue``, with which B is multiplied; z is ``eigenvalue step``."""
    (re, im), xp = eigenvalue, namespace(step)
    x, y = re * step, im * step
    radius, square = xp.exp(x), re**2 + im**2
    a = (radius * xp.cos(y), radius * xp.sin(y))
    less = (xp.expm1(x) * xp.cos(y) - 2 * xp.sin(y / 2) ** 2, a[1])  # a - 1 without cancellation
    return a, COMPLEX.pull((re / square, im / square), less)


def bilinear(eigenvalue: Complex, step: Array) -> tuple[Complex, Complex]:
    """``a = (1 + z / 2) / (1 - z / 2)``, and ``step / (1 - z / 2)``, with which B is multiplied."""
    x, y = (part * step / 2 for part in eigenvalue)
    square = (1 - x) ** 2 + y**2
    inverse = ((1 - x) / square, y / square)
    return COMPLEX.act(inverse, (1 + x, y)), (step * inverse[0], step * inverse[1])
