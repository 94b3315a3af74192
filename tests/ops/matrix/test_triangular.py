"""Unit lower triangular systems, which delta rules solve for their chunks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cases.checks import close
from conftest import Backend
from memcore.ops.matrix.triangular import by_inverse, unit_lower_inverse, unit_lower_solve


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


def inverted(lower: Any, b: Any) -> Any:
    """What a GPU runs."""
    return by_inverse(lower, b)[1]


@pytest.mark.parametrize("solve", [unit_lower_solve, inverted])
@pytest.mark.parametrize("beta", [1.0, 1.9, 1.99])
def test_a_solution_is_as_accurate_as_substitution(
    beta: float, solve: Callable[..., Any], backend: Backend
) -> None:
    """All entries equal: the inverse alone has errors of 1e-5 to 4e-4, depending on the machine."""
    for seed in range(5):
        b = np.random.default_rng(seed).standard_normal((3, 64, 4)).astype(np.float32)
        lower = np.full((3, 64, 64), beta, np.float32)
        got = solve(backend.asarray(lower), backend.asarray(b))
        strict = np.tril(lower.astype(np.float64), -1)
        want = np.linalg.solve(np.eye(64) + strict, b.astype(np.float64))
        close(got, want, 1e-5)


@pytest.mark.parametrize("solve", [unit_lower_solve, inverted])
@pytest.mark.parametrize("wrong", ["lower", "b", "x"])
def test_a_row_that_overflows_is_the_largest_number(
    wrong: str, solve: Callable[..., Any], backend: Backend
) -> None:
    """In what is given, or in what comes of it; rows that do not read it are what they were."""
    rng, row = np.random.default_rng(0), 20
    lower = (np.tril(rng.standard_normal((2, 40, 40)), -1) / 40**0.5).astype(np.float32)
    lower[:, row + 1 :, row] = 0
    b = rng.standard_normal((2, 40, 3)).astype(np.float32)
    want = np.linalg.solve(np.eye(40) + lower, b.astype(np.float64))
    if wrong == "x":
        lower[0, row, :row], b[0, :row] = 3e38, 4
        want[0, :row] = np.linalg.solve(np.eye(row) + lower[0, :row, :row], b[0, :row])
        below = b[0, row + 1 :] - lower[0, row + 1 :, :row] @ want[0, :row]
        want[0, row + 1 :] = np.linalg.solve(
            np.eye(39 - row) + lower[0, row + 1 :, row + 1 :], below
        )
    elif wrong == "b":
        b[0, row, 1] = np.inf
    else:
        lower[0, row, 3] = np.nan
    with np.errstate(over="ignore", invalid="ignore"):
        got = np.asarray(solve(backend.asarray(lower), backend.asarray(b)))
    close(got[1], want[1], 1e-5)
    close(np.delete(got[0], row, 0), np.delete(want[0], row, 0), 1e-5)
    assert np.isfinite(got).all() and (np.abs(got[0, row]) == np.finfo(np.float32).max).any()


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["by_substitution", "in_matmuls"])
def test_a_solution_has_the_gradients_of_one(name: str, backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    from memcore.ops.matrix import _jax

    rng = np.random.default_rng(0)
    lower, b = rng.standard_normal((2, 5, 5)), rng.standard_normal((2, 5, 3))
    given = backend.asarray((lower, b))
    check_grads(getattr(_jax, name), given, order=2, modes=("fwd", "rev"))
