"""Rotations of a vector and products of rotations, after arXiv:2407.07239."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def expm_skew(a: Any) -> Any:
    """exp of a skew-symmetric matrix, by the eigenvalues of the Hermitian -i a."""
    values, vectors = np.linalg.eigh(-1j * a)
    return ((vectors * np.exp(1j * values)) @ vectors.conj().T).real


def spherical(params: Any, xs: Any, starts: Any = None, product: bool = False) -> Any:
    """xs (T, in) -> ys (T, N): R_t .. R_1 v / |v|, or of the product R_1 .. R_t v / |v|."""
    p, xs = float64(params), float64(xs)
    v = p["initial"] / np.linalg.norm(p["initial"])
    total, ys = np.eye(len(v)), []
    for t, x in enumerate(xs):
        total = np.eye(len(v)) if starts is not None and starts[t] else total
        upper = np.zeros_like(total)
        angles = x @ p["angles"]["kernel"] + p["angles"]["bias"]
        upper[np.triu_indices(len(v), 1)] = angles
        turn = expm_skew(upper - upper.T)
        total = total @ turn if product else turn @ total
        ys.append(total @ v)
    return np.stack(ys)


CASES = [
    ModelCase("spherical", memcore.Spherical(4, state_size=3), spherical),
    ModelCase(
        "spherical_product",
        memcore.Spherical(4, state_size=3, product=True),
        lambda p, x, s: spherical(p, x, s, product=True),
    ),
]
WRONG = {
    "state_size": (lambda: memcore.Spherical(4, state_size=1), r"^state_size is 1, expected"),
}
