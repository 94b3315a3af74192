"""Inverses of unit lower triangular matrices, with which delta rules solve their chunks."""

from __future__ import annotations

import numpy as np
import pytest

from cases.checks import close
from conftest import Backend
from memcore.ops.matrix.triangular import unit_lower_inverse, unit_lower_solve


@pytest.mark.backend("numpy", "array_api_strict")
def test_unit_lower_inverse(backend: Backend) -> None:
    for size in (2, 3, 5, 8, 13, 17, 32, 43, 64):
        strict = np.tril(np.random.default_rng(size).standard_normal((2, size, size)), -1)
        strict = (strict / size**0.5).astype(np.float32)
        got = unit_lower_inverse(backend.asarray(strict))
        want = np.linalg.inv(np.eye(size) + strict)
        close(got, want, 1e-5)


@pytest.mark.parametrize("row", [1, 11, 20, 39])
def test_rows_that_overflow_spoil_no_others(row: int, backend: Backend) -> None:
    """Of 40 rows, so that halves are joined twice, none reads this one."""
    lower = np.tril(np.random.default_rng(0).standard_normal((2, 40, 40)), -1) / 40**0.5
    lower[:, row + 1 :, row] = 0
    others = np.arange(40) != row
    want = np.linalg.inv(np.eye(40) + lower)[:, others]
    lower[0, row, :row] = 3e38
    with np.errstate(over="ignore", invalid="ignore"):
        got = np.asarray(unit_lower_inverse(backend.asarray(lower.astype(np.float32))))
    close(got[:, others], want, 1e-5)
    assert row == 1 or not np.isfinite(got[0, row]).all()


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
