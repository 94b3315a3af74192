"""Newton-Schulz' iteration, as Muon has it: a matrix whose singular values are all near 1."""

from __future__ import annotations

from memcore.backend import namespace
from memcore.cell import Array

EPS = 1e-14
"""Added to the squared norm: matrices of a norm far below 1e-7 count as zero."""

Rounds = tuple[tuple[float, float, float], ...]

MUON: Rounds = ((3.4445, -4.7750, 2.0315),) * 5
"""``(a, b, c)`` of each round, as in Muon and ATLAS (arXiv:2505.23735)."""

LACT: Rounds = (
    (4.0848, -6.8946, 2.9270),
    (3.9505, -6.3029, 2.6377),
    (3.7418, -5.5913, 2.3037),
    (2.8769, -3.1427, 1.2046),
    (2.8366, -3.0525, 1.2012),
)
"""Those of LaCT (arXiv:2505.23884): each round has its own, and singular values end nearer to 1."""


def orthogonalised(x: Array, rounds: Rounds = MUON) -> Array:
    """Rounds of ``X <- X (a I + b X^T X + c (X^T X)^2)`` from ``X / |X|``, for ``x (..., n, m)``; zero stays
    zero."""
    xp = namespace(x)
    x = x / xp.sqrt(xp.sum(x * x, axis=(-2, -1), keepdims=True) + EPS)
    turned = x.shape[-2] < x.shape[-1]
    x = x.mT if turned else x
    for a, b, c in rounds:
        square = x.mT @ x
        x = a * x + x @ (b * square + c * (square @ square))
    return x.mT if turned else x
