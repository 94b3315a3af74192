"""Pointwise functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from cases.accelerator import taken_for
from conftest import Backend
from memcore.backend import outer, spread


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


# --- products that one side broadcasts -------------------------------------------------------------


@pytest.mark.parametrize("lead", [(), (2,), (2, 3), (0, 3)])
def test_outer_and_spread(lead: tuple[int, ...], backend: Backend) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((*lead, 4)), rng.standard_normal((*lead, 5))
    a, b = backend.asarray((x.astype("float32"), y.astype("float32")))
    got = np.asarray(outer(a, b))
    np.testing.assert_allclose(got, x[..., :, None] * y[..., None, :], rtol=1e-6)
    wide = np.broadcast_to(np.asarray(spread(b, 4)), (*lead, 4, 5))
    np.testing.assert_array_equal(wide, np.broadcast_to(np.asarray(b)[..., None, :], wide.shape))


@pytest.mark.backend("jax")
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_gradients_of_outer_and_spread(kind: str, backend: Backend, monkeypatch: Any) -> None:
    import jax
    import jax.numpy as jnp

    taken_for(kind, monkeypatch)
    rng = np.random.default_rng(0)
    made = (rng.standard_normal((2, 3, n)).astype("float32") for n in (4, 5))
    x, y = backend.asarray(tuple(made))

    def mine(x: Any, y: Any) -> Any:
        return jnp.sum(jnp.sin(outer(x, y) * jnp.exp(spread(y, 4))))

    def plain(x: Any, y: Any) -> Any:
        return jnp.sum(jnp.sin(x[..., :, None] * y[..., None, :] * jnp.exp(y[..., None, :])))

    for got, want in zip(jax.grad(mine, (0, 1))(x, y), jax.grad(plain, (0, 1))(x, y), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
