"""Products of delta rules and the diagonal-plus-low-rank form: golden vectors, promises, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import optree
import pytest

from conftest import Backend
from golden_vectors import load
from memcore import ops
from op_cases.checks import METHODS, close

Golden = tuple[Callable[..., Any], tuple[Any, ...], float]


def golden_op(name: str, a: dict[str, np.ndarray]) -> Golden:
    """The function, its arrays and the scale that make a golden vector."""
    x = {key[3:]: array for key, array in a.items() if key.startswith("in/")}
    q, k, v = x["q"], x["k"], x["v"]
    scale = q.shape[-1] ** -0.5
    if "delta_product" in name:
        batch, length, heads, _ = q.shape
        k, v = (y.reshape(batch, length, -1, heads, y.shape[-1]) for y in (k, v))
        beta = x["beta"].reshape(batch, length, -1, heads)
        return ops.delta_product, (q, k, v, beta, x.get("g")), 1.0
    if name == "gdn2":  # S' = d S; u = w v - S'^T (b k): an erasing and a writing gate
        d = np.exp(x["g"])
        return ops.dplr_delta_rule, (q, k, x["w"] * v, -d * x["b"] * k, k, x["g"]), scale
    if name == "comba_paper":
        beta = x["beta"][..., None]
        return ops.dplr_delta_rule, (q, k, beta * v, -beta * x["p"], k, x["g"]), scale
    return ops.dplr_delta_rule, (q, k, v, x["alpha"], x["beta"], x.get("gk")), scale


NAMES = (
    "delta_product",
    "gated_delta_product",
    "dplr_delta_rule",
    "iplr_delta_rule",
    "gdn2",
    "comba_paper",
)


def check_golden(name: str, method: str, backend: Backend, dtype: str) -> None:
    entry, a = load(name)
    function, arrays, scale = golden_op(name, a)
    tolerance = entry["tolerance"][f"{dtype}_impl"]
    start = a["init/S0"]
    for out, state in (("out", None), ("out_init", start)):
        given = optree.tree_map(lambda x: x.astype(dtype), (arrays, state))
        arrays_, state_ = backend.asarray(given)
        got = function(*arrays_, state_, scale=scale, method=method, chunk_size=16)
        for x, want in zip(got, (a[f"{out}/S"], a[f"{out}/o"]), strict=True):
            assert x.dtype == getattr(backend.xp, dtype)
            np.testing.assert_allclose(np.asarray(x), want, rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    check_golden(name, method, backend, "float64")


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", NAMES)
def test_golden_in_float32(name: str, method: str, backend: Backend) -> None:
    check_golden(name, method, backend, "float32")


def keys(rng: np.random.Generator, *shape: int) -> np.ndarray:
    k = rng.standard_normal(shape)
    return k / np.linalg.norm(k, axis=-1, keepdims=True)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_the_gated_delta_rule_is_diagonal_plus_low_rank(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    q, v = rng.standard_normal((2, 11, 2, 4)), rng.standard_normal((2, 11, 2, 3))
    k, beta = keys(rng, 2, 11, 2, 4), rng.uniform(0, 2, (2, 11, 2))
    g, starts = -np.abs(rng.standard_normal((2, 11, 2))), rng.random((2, 11)) < 0.3
    a, v_beta = -np.exp(g)[..., None] * beta[..., None] * k, beta[..., None] * v
    how = {"starts": backend.asarray(starts), "method": method, "chunk_size": 4}
    want = ops.delta_rule(*backend.asarray((q, k, v, beta, g)), **how)
    close(ops.dplr_delta_rule(*backend.asarray((q, k, v_beta, a, k, g)), **how), want)


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


Q, V = np.zeros((2, 5, 2, 4)), np.zeros((2, 5, 2, 3))
K2, V2, B2 = np.zeros((2, 5, 3, 2, 4)), np.zeros((2, 5, 3, 2, 3)), np.zeros((2, 5, 3, 2))
ERRORS: dict[str, tuple[Callable[[], Any], str]] = {
    "a": (lambda: ops.dplr_delta_rule(Q, Q, V, V, Q), r"^a has shape \(2, 5, 2, 3\), expected"),
    "b": (lambda: ops.dplr_delta_rule(Q, Q, V, Q, V), r"^b has shape \(2, 5, 2, 3\), expected"),
    "k": (lambda: ops.delta_product(Q[0], Q[0], V2, B2), r"^k has shape \(5, 2, 4\), expected"),
    "q": (lambda: ops.delta_product(V, K2, V2, B2), r"^q has shape \(2, 5, 2, 3\), expected"),
    "v": (lambda: ops.delta_product(Q, K2, V2[:, :, :2], B2), r"^v has shape \(2, 5, 2, 2, 3\)"),
    "beta": (lambda: ops.delta_product(Q, K2, V2, Q), r"^beta has shape \(2, 5, 2, 4\), expected"),
    "log_decay": (
        lambda: ops.delta_product(Q, K2, V2, B2, B2),
        r"^log_decay has shape \(2, 5, 3, 2\), expected \(2, 5, 2, 4\)",
    ),
    "starts": (
        lambda: ops.delta_product(Q, K2, V2, B2, starts=np.zeros((2, 15), bool)),
        r"^starts has shape \(2, 15\), expected \(2, 5\)",
    ),
}


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ERRORS)
def test_errors(name: str, backend: Backend) -> None:
    call, message = ERRORS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()
