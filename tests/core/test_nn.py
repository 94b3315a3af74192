"""Pointwise functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


POINTWISE = {
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "elu_plus_one": lambda x: np.where(x > 0, x + 1, np.exp(np.minimum(x, 0))),
}


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise(name: str, backend: Backend) -> None:
    x = np.array([-30.0, -3.0, -1e-9, 0.0, 1e-9, 0.5, 3.0, 30.0])
    got = getattr(memcore.nn, name)(backend.asarray(x))
    close(got, POINTWISE[name](x), 1e-12)
    far = np.asarray(getattr(memcore.nn, name)(backend.asarray(np.array([-1e4, 1e4]))))
    assert np.all(np.isfinite(far)) and abs(far[0]) < 1e-12


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_gradients(name: str, backend: Backend, x64: None) -> None:
    """At 0 as well, where branches meet: padding and zero inputs sit exactly there."""
    import jax
    import jax.numpy as jnp

    x = np.array([-700.0, -3.0, 0.0, 3.0, 700.0])
    got = jax.vmap(jax.grad(getattr(memcore.nn, name)))(jnp.asarray(x))
    f, step = getattr(memcore.nn, name), 1e-6
    want = (np.asarray(f(jnp.asarray(x + step))) - np.asarray(f(jnp.asarray(x - step)))) / 2 / step
    close(got, want, 1e-6)
