"""Products of delta rules: golden vectors, what several writes can do."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import METHODS, close
from cases.ops import RULES
from conftest import Backend
from golden_vectors import load
from memcore import ops


def golden(name: str) -> tuple[Any, Any, tuple[Any, ...], float]:
    """The entry, all arrays, those of the function, and its scale."""
    entry, a = load(name)
    x = {key[3:]: array for key, array in a.items() if key.startswith("in/")}
    q, k, v = x["q"], x["k"], x["v"]
    batch, length, heads, _ = q.shape
    k, v = (y.reshape(batch, length, -1, heads, y.shape[-1]) for y in (k, v))
    beta = x["beta"].reshape(batch, length, -1, heads)
    return entry, a, (q, k, v, beta, x.get("g")), 1.0


def check_golden(name: str, method: str, backend: Backend, dtype: str) -> None:
    entry, a, arrays, scale = golden(name)
    tolerance = entry["tolerance"][f"{dtype}_impl"]
    start = a["init/S0"]
    for out, state in (("out", None), ("out_init", start)):
        given = optree.tree_map(lambda x: x.astype(dtype), (arrays, state))
        arrays_, state_ = backend.asarray(given)
        got = ops.delta_product(*arrays_, state_, scale=scale, method=method, chunk_size=16)
        for x, want in zip(got, (a[f"{out}/S"], a[f"{out}/o"]), strict=True):
            assert x.dtype == getattr(backend.xp, dtype)
            np.testing.assert_allclose(np.asarray(x), want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RULES["delta_product"].golden)
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    check_golden(name, method, backend, "float64")


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RULES["delta_product"].golden)
def test_golden_in_float32(name: str, method: str, backend: Backend) -> None:
    check_golden(name, method, backend, "float32")


def keys(rng: np.random.Generator, *shape: int) -> np.ndarray:
    k = rng.standard_normal(shape)
    return k / np.linalg.norm(k, axis=-1, keepdims=True)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_one_write_per_step_is_the_delta_rule(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(1)
    q, v = rng.standard_normal((2, 9, 2, 4)), rng.standard_normal((2, 9, 2, 3))
    k, beta = keys(rng, 2, 9, 2, 4), rng.uniform(0, 2, (2, 9, 2))
    want = ops.delta_rule(*backend.asarray((q, k, v, beta)), method=method, chunk_size=4)
    one = (q, k[:, :, None], v[:, :, None], beta[:, :, None])
    close(ops.delta_product(*backend.asarray(one), method=method, chunk_size=4), want)


@pytest.mark.backend("numpy", "array_api_strict")
def test_two_reflections_rotate(backend: Backend) -> None:
    """With two writes of strength 2 a step turns the memory: 24 of them turn it once around."""
    angle = np.pi / 24
    k = np.array([[1.0, 0.0], [np.cos(angle), np.sin(angle)]])[None, :, None, :]
    k = np.broadcast_to(k, (24, 2, 1, 2))
    zeros, beta = np.zeros((24, 2, 1, 2)), np.full((24, 2, 1), 2.0)
    q = np.broadcast_to(np.array([1.0, 0.0]), (24, 1, 2))
    state = np.eye(2)[None]
    after, out = ops.delta_product(
        *backend.asarray((q, k, zeros, beta)), state=backend.asarray(state)
    )
    close(after, state, 1e-12)
    turned = 2 * angle * np.arange(1, 25)
    first = np.asarray(out)[:, 0, :]
    np.testing.assert_allclose(first[:, 0], np.cos(turned), atol=1e-12)
    np.testing.assert_allclose(np.abs(first[:, 1]), np.abs(np.sin(turned)), atol=1e-12)
