"""Transitions that are shared, and those that are complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.checks import METHODS, close, drawn
from cases.ops import OPS, WIDTH, loop
from conftest import Backend
from memcore import ops


@pytest.mark.backend("numpy", "array_api_strict")
def test_a_decay_may_be_constant_in_time_or_over_the_batch(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    b = rng.standard_normal((2, 5, 3)).astype(np.float32)
    for shape in ((3,), (1, 3), (5, 3), (1, 1, 3), (2, 1, 3), (1, 5, 3)):
        a = rng.uniform(-1, 1, shape).astype(np.float32)
        want = loop(
            OPS["linear_recurrence"],
            {"a": np.broadcast_to(a, b.shape), "b": b},
            np.zeros((2, 3), np.float32),
        )
        for method in METHODS:
            got = ops.linear_recurrence(*backend.asarray((a, b)), method=method, chunk_size=2)
            close(got, want, 1e-6)


@pytest.mark.backend("numpy")
def test_lists_are_flags(backend: Backend) -> None:
    starts = [False, True, False, False, True]
    rng = np.random.default_rng(0)
    b = rng.standard_normal((2, 5, WIDTH))
    got = ops.linear_recurrence(np.full(WIDTH, 0.5), b, starts=starts)
    want = ops.linear_recurrence(np.full(WIDTH, 0.5), b, starts=np.array([starts] * 2))
    close(got, want, 0)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("shape", [(), (1,), (5, 1), (1, 1), (2, 1, 1), (2, 5, 1), (1, 5, 3)])
def test_one_number_for_all_channels(shape: tuple[int, ...], backend: Backend) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-1, 1, shape), rng.standard_normal((2, 5, WIDTH))
    full = {"a": np.broadcast_to(a, b.shape), "b": b}
    zeros = np.zeros((2, WIDTH))
    for method in METHODS:
        got = ops.linear_recurrence(*backend.asarray((a, b)), method=method, chunk_size=2)
        close(got, loop(OPS["linear_recurrence"], full, zeros))


@pytest.mark.backend("numpy", "jax")
def test_a_python_number_is_a_transition(backend: Backend) -> None:
    b = backend.asarray(np.ones((4, 2), np.float32))
    state, out = ops.linear_recurrence(0.5, b)
    close(out, np.float32([[1, 1], [1.5, 1.5], [1.75, 1.75], [1.875, 1.875]]), 1e-6)
    assert state.dtype == out.dtype == np.float32


@pytest.mark.backend("jax")
def test_gradient_of_a_shared_number(backend: Backend, x64: None) -> None:
    """Summed over the channels, the batch and, where it is constant, time."""
    import jax
    import jax.numpy as jnp

    rng = np.random.default_rng(0)
    b = jnp.asarray(rng.standard_normal((2, 5, WIDTH)))

    def loss(a: Any, method: str) -> Any:
        return jnp.sum(jnp.sin(ops.linear_recurrence(a, b, method=method)[1]))

    for shape in ((), (5, 1), (2, 1, WIDTH)):
        a = jnp.asarray(rng.uniform(-1, 1, shape))
        close(jax.grad(loss)(a, "fused"), jax.grad(loss)(a, "sequential"))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_blocks_of_rotations_are_complex_numbers(method: str, backend: Backend) -> None:
    op, x, state, *_ = drawn("linear_recurrence_complex", 13)
    re, im = x["a_re"], x["a_im"]
    arrays = backend.asarray((((re, -im), (im, re)), (x["b_re"], x["b_im"]), state))
    got = ops.linear_recurrence(*arrays, method=method, chunk_size=4)
    close(got, op.run(*backend.asarray((x, state)), method="sequential"))
