"""Inverses of unit lower triangular matrices, with which delta rules solve their chunks."""

from __future__ import annotations

import numpy as np
import pytest

from cases.checks import close
from conftest import Backend
from memcore.ops.matrix.triangular import unit_lower_inverse, unit_lower_solve


@pytest.mark.backend("numpy", "array_api_strict")
def test_unit_lower_inverse(backend: Backend) -> None:
    for size in (2, 3, 5, 8, 13):
        strict = np.tril(np.random.default_rng(size).standard_normal((2, size, size)), -1)
        strict = strict.astype(np.float32)
        got = unit_lower_inverse(backend.asarray(strict))
        want = np.linalg.inv(np.eye(size) + strict)
        close(got, want, 1e-5)


@pytest.mark.parametrize("beta", [1.0, 1.9, 1.99])
def test_unit_lower_solve_is_as_accurate_as_substitution(beta: float, backend: Backend) -> None:
    """All entries equal: the inverse alone has errors of 1e-5 to 4e-4, depending on the machine."""
    for seed in range(5):
        b = np.random.default_rng(seed).standard_normal((3, 64, 4)).astype(np.float32)
        lower = np.full((3, 64, 64), beta, np.float32)
        got = unit_lower_solve(backend.asarray(lower), backend.asarray(b))
        strict = np.tril(lower.astype(np.float64), -1)
        want = np.linalg.solve(np.eye(64) + strict, b.astype(np.float64))
        close(got, want, 1e-5)


@pytest.mark.backend("jax")
def test_unit_lower_solve_has_the_gradients_of_a_solution(backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    rng = np.random.default_rng(0)
    lower, b = rng.standard_normal((2, 5, 5)), rng.standard_normal((2, 5, 3))
    check_grads(unit_lower_solve, backend.asarray((lower, b)), order=2, modes=("fwd", "rev"))
