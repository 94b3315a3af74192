"""The diagonal-plus-low-rank delta rule: golden vectors of its relatives, and the delta rule itself."""

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

NAMES = [name for name in RULES["dplr_delta_rule"].golden if name != "precond_gated_delta_rule"]


def golden(name: str) -> tuple[Any, Any, tuple[Any, ...], float]:
    """The entry, all arrays, those of the function, and its scale."""
    entry, a = load(name)
    x = {key[3:]: array for key, array in a.items() if key.startswith("in/")}
    q, k, v = x["q"], x["k"], x["v"]
    scale = q.shape[-1] ** -0.5
    if name == "gdn2":  # S' = d S; u = w v - S'^T (b k): an erasing and a writing gate
        d = np.exp(x["g"])
        return entry, a, (q, k, x["w"] * v, -d * x["b"] * k, k, x["g"]), scale
    if name == "comba_paper":
        beta = x["beta"][..., None]
        return entry, a, (q, k, beta * v, -beta * x["p"], k, x["g"]), scale
    return entry, a, (q, k, v, x["alpha"], x["beta"], x.get("gk")), scale


def check_golden(name: str, method: str, backend: Backend, dtype: str) -> None:
    entry, a, arrays, scale = golden(name)
    tolerance = entry["tolerance"][f"{dtype}_impl"]
    start = a["init/S0"]
    for out, state in (("out", None), ("out_init", start)):
        given = optree.tree_map(lambda x: x.astype(dtype), (arrays, state))
        arrays_, state_ = backend.asarray(given)
        got = ops.dplr_delta_rule(*arrays_, state_, scale=scale, method=method, chunk_size=16)
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


@pytest.mark.parametrize("method", METHODS)
def test_golden_preconditioned_delta_rule(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("precond_gated_delta_rule")
    q, k = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a["in/q"], a["in/k"]))
    beta, decay = a["in/beta"][..., None], np.exp(a["in/g"])[..., None]
    seen = (np.exp(a["in/g_atk"])[..., None], a["in/beta_atk"][..., None] * k**2)
    seen = tuple(np.broadcast_to(x, k.shape).reshape(*k.shape[:2], -1) for x in seen)
    zeros = np.zeros_like(a["init/S0"]), np.zeros_like(a["init/A0"])
    for out, (state, sizes) in (("out", zeros), ("out_init", (a["init/S0"], a["init/A0"]))):
        begin = sizes.reshape(len(sizes), -1)
        size, sizes = ops.linear_recurrence(*backend.asarray((*seen, begin)), method=method)
        r = np.log(np.asarray(sizes).reshape(k.shape) + 1e-6) + 0.2
        write = beta * k * np.exp(-np.log(1.5) * r / (1 + np.abs(r)))
        arrays = q, write, a["in/v"], -decay * k, write, a["in/g"], state
        how: dict[str, Any] = {"scale": q.shape[-1] ** -0.5, "method": method, "chunk_size": 16}
        after, o = ops.dplr_delta_rule(*backend.asarray(arrays), **how)
        size = np.asarray(size).reshape(a["init/A0"].shape)
        want = tuple(a[f"{out}/{n}"] for n in ("S", "A", "o"))
        close((after, size, o), want, entry["tolerance"]["float64_impl"])
