"""Running maximum: golden vectors, which of equals it takes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.checks import METHODS, close
from cases.ops import BATCH, WIDTH
from conftest import Backend
from golden_vectors import load
from memcore import ops


@pytest.mark.parametrize("method", METHODS)
def test_golden_nmax(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("memax_nmax")
    x, starts = a["in/x"], a["in/start"]
    decay, zero = np.zeros(x.shape[-1]), np.zeros(x.shape[-1])
    decay, x, zero, starts = backend.asarray((decay, x, zero, starts))
    state, h = ops.max_plus(decay, x, initial=zero, starts=starts, method=method)
    h = np.asarray(h)
    got = np.asarray(state), h / np.sum(np.abs(h), axis=-1, keepdims=True)
    close(got, (a["out/h"], a["out/y"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_it_is_a_running_maximum(method: str, backend: Backend) -> None:
    x = np.random.default_rng(0).standard_normal((BATCH, 33, WIDTH))
    zero, given = backend.asarray((np.zeros(WIDTH), x))
    _, largest = ops.max_plus(zero, given, method=method, chunk_size=8)
    close(largest, np.maximum.accumulate(x, axis=1), 0)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", METHODS)
def test_a_maximum_of_equals_is_the_latest(method: str, backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    def last(a: Any, b: Any, state: Any) -> Any:
        return jnp.sum(ops.max_plus(a, b, state, method=method, chunk_size=4)[0])

    arrays = (
        np.zeros((9, 1)),
        np.array([[0.0], [2], [1], [2], [2], [0], [2], [1], [0]]),
        np.full(1, 2),
    )
    arrays = backend.asarray(tuple(x.astype(np.float32) for x in arrays))
    a, b, state = jax.grad(last, (0, 1, 2))(*arrays)
    np.testing.assert_array_equal(np.asarray(b)[:, 0], np.arange(9) == 6)
    np.testing.assert_array_equal(np.asarray(a)[:, 0], np.arange(9) > 6)
    assert not np.any(np.asarray(state))


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_the_lowest_number_of_float16(method: str, backend: Backend) -> None:
    x = np.full((7, 3), -np.inf, np.float16)
    x[4] = 1
    lowest = np.full((7, 3), np.finfo(np.float16).min)
    lowest[4:6] = [[1], [-40000]]
    _, h = ops.max_plus(np.full(3, -40000, np.float16), x, method=method, chunk_size=3)
    assert h.dtype == np.float16
    np.testing.assert_array_equal(h, lowest)
