"""Running log-sum-exp: golden vectors, what it is the logarithm of."""

from __future__ import annotations

import numpy as np
import pytest

from cases.checks import METHODS, close
from cases.ops import BATCH, OPS, WIDTH
from conftest import Backend
from golden_vectors import load
from memcore import ops

FLOOR = -1e38


@pytest.mark.parametrize("method", METHODS)
def test_golden_lightnet(method: str, backend: Backend, x64: None) -> None:
    """Its normaliser is a log-sum-exp, and its decay what that grows by."""
    entry, a = load("lightnet")
    q, k, v = (a[f"in/{n}"] for n in "qkv")
    flat = k.reshape(*k.shape[:2], -1)
    after, z = ops.log_sum_exp(backend.asarray(flat), method=method)
    z = np.asarray(z).reshape(k.shape)
    before = np.concatenate([np.full_like(z[:, :1], FLOOR), z[:, :-1]], axis=1)
    arrays = backend.asarray((q, np.exp(k - z), v, before - z))
    state, o = ops.linear_attention(*arrays, scale=q.shape[-1] ** -0.5, method=method)
    got = np.asarray(after).reshape(a["out/z"].shape), state, o
    close(got, (a["out/z"], a["out/S"], a["out/o"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy")
def test_log_sum_exp_is_the_logarithm_of_a_softmax_denominator(backend: Backend) -> None:
    x = OPS["softmax_decay"].draw(np.random.default_rng(0), 33)
    (m, u, _), _ = ops.softmax(x["s"], x["v"], x["g"])
    close(ops.log_sum_exp(x["s"], x["g"])[0], m + np.log(u))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_it_is_the_logarithm_of_a_running_sum(method: str, backend: Backend) -> None:
    x = np.random.default_rng(0).standard_normal((BATCH, 33, WIDTH))
    _, total = ops.log_sum_exp(backend.asarray(x), method=method, chunk_size=8)
    close(total, np.log(np.cumsum(np.exp(x), axis=1)))


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", METHODS)
def test_equals_share_the_gradient_of_their_sum(method: str, backend: Backend) -> None:
    import jax

    x = backend.asarray(np.ones((8, 1), np.float32))
    gradient = jax.grad(lambda x: ops.log_sum_exp(x, method=method, chunk_size=4)[0][0])(x)
    np.testing.assert_allclose(np.asarray(gradient), 1 / 8, rtol=1e-6)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_the_lowest_number_of_float16(method: str, backend: Backend) -> None:
    x = np.full((7, 3), -np.inf, np.float16)
    x[4] = 1
    lowest = np.full((7, 3), np.finfo(np.float16).min)
    lowest[4:6] = [[1], [-40000]]
    _, h = ops.log_sum_exp(x, np.full(3, -40000, np.float16), method=method, chunk_size=3)
    assert h.dtype == np.float16
    np.testing.assert_array_equal(h, lowest)


@pytest.mark.requires("ml_dtypes")
@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
def test_bfloat16_is_rounded_once(method: str, backend: Backend) -> None:
    from ml_dtypes import bfloat16

    x = (3 * np.random.default_rng(0).standard_normal((2, 50, 3))).astype(bfloat16)
    state, h = ops.log_sum_exp(x, method=method, chunk_size=8)
    want = np.logaddexp.accumulate(x.astype(np.float64), axis=1)
    assert (h.dtype, state.dtype) == (bfloat16, np.float32)
    np.testing.assert_allclose(h.astype(np.float64), want, rtol=2**-8, atol=2**-8)
    np.testing.assert_allclose(state, want[:, -1], rtol=1e-5)
