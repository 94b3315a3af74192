"""The delta rule: what the paper promises, golden vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.accelerator import taken_for
from cases.checks import METHODS, close, drawn, half_or_flag
from cases.ops import RULES
from conftest import Backend
from golden_vectors import load
from memcore import ops
from memcore.engine import at_once


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_the_delta_rule_reads_the_last_value_written(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((4, 4)))[0].astype(np.float32)
    written = rng.integers(0, 4, 17)
    k = np.broadcast_to(basis[written][:, None], (17, 1, 4))
    v = rng.standard_normal((17, 1, 3)).astype(np.float32)
    beta = np.ones((17, 1), np.float32)
    state, out = ops.delta_rule(*backend.asarray((k, k, v, beta)), method=method, chunk_size=8)
    close(out, v, 1e-5)  # what was just written
    for key in range(4):
        last = int(np.flatnonzero(written == key)[-1])
        close(basis[key] @ np.asarray(state)[0], v[last, 0], 1e-5)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_beta_of_two_reflects(method: str, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    k = rng.standard_normal((17, 1, 4))
    k = (k / np.linalg.norm(k, axis=-1, keepdims=True)).astype(np.float32)
    start = rng.standard_normal((1, 4, 3)).astype(np.float32)
    v, beta = np.zeros((17, 1, 3), np.float32), np.full((17, 1), 2, np.float32)
    state, _ = ops.delta_rule(
        *backend.asarray((k, k, v, beta)), state=backend.asarray(start), method=method
    )
    close(np.linalg.norm(np.asarray(state)), np.linalg.norm(start), 1e-5)
    assert np.abs(np.asarray(state) - start).max() > 0.1


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_parity_of_bits(method: str, backend: Backend) -> None:
    """An eigenvalue of -1 flips a sign at every 1: XOR of 100 bits, exactly."""
    bits = np.random.default_rng(0).integers(0, 2, (3, 100))
    one = np.ones((3, 100, 1, 1), np.float32)
    beta = (2 * bits[..., None]).astype(np.float32)
    state = backend.asarray(np.ones((1, 1, 1), np.float32))
    arrays = backend.asarray((one, one, 0 * one, beta))
    _, out = ops.delta_rule(*arrays, state=state, method=method, chunk_size=16)
    parity = np.cumsum(bits, axis=1) % 2
    np.testing.assert_array_equal(np.asarray(out)[..., 0, 0], 1 - 2.0 * parity)


@pytest.mark.parametrize("beta", [0.5, 0.99, 1.0, 1.9, 1.99, 2.0])
def test_repeated_keys_stay_accurate(beta: float, backend: Backend) -> None:
    """A chunk of 64 equal keys: powers of L grow like binomials, the inverse must not."""
    rng, length = np.random.default_rng(0), 64
    k = rng.standard_normal(8)
    k = np.broadcast_to((k / np.linalg.norm(k)).astype(np.float32), (length, 1, 8))
    v = rng.standard_normal((length, 1, 3)).astype(np.float32)
    strength = np.full((length, 1), beta, np.float32)
    exact = (x.astype(np.float64) for x in (k, k, v, strength))
    want = ops.delta_rule(*exact, method="sequential")
    for chunk_size, tolerance in ((16, 1e-5), (64, 2e-5)):  # the fold itself: up to 5e-6
        how = {"method": "fused", "chunk_size": chunk_size}
        close(ops.delta_rule(*backend.asarray((k, k, v, strength)), **how), want, tolerance)


@pytest.mark.backend("jax")
def test_a_float64_gate_and_a_numpy_scale(backend: Backend, x64: None) -> None:
    _, arrays, *_ = drawn("delta_rule_decay", 5)
    low = backend.asarray(optree.tree_map(half_or_flag, arrays))
    q, k, v, beta, g = low.values()
    want = ops.delta_rule(q, k, v, beta, g, scale=0.5)
    got = ops.delta_rule(q, k, v, backend.asarray(arrays["beta"]), g, scale=np.float64(0.5))
    assert {x.dtype for x in got} == {np.dtype("float32")}
    close(got, want, 1e-6)


@pytest.mark.backend("jax")
def test_a_gradient_solves_no_chunk_again(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU: the inverse of a longer chunk has more products; its gradient has no more of them than the
    rule."""
    import jax

    taken_for("gpu", monkeypatch)
    monkeypatch.setattr(at_once, "BUSY", 0)  # one chunk after the other
    rng = np.random.default_rng(0)
    q, v = backend.asarray(rng.standard_normal((2, 64, 1, 4), dtype=np.float32))
    beta = backend.asarray(np.ones((64, 1), np.float32))

    def products(f: Any, size: int) -> int:
        def loss(k: Any) -> Any:
            return ops.delta_rule(q, k, v, beta, method="fused", chunk_size=size)[1].sum()

        return str(jax.make_jaxpr(f(loss))(q)).count("dot_general")

    more = products(lambda loss: loss, 16) - products(lambda loss: loss, 2)
    assert more > 0
    assert products(jax.grad, 16) - products(jax.grad, 2) == more


def golden(name: str) -> tuple[Any, Any, tuple[Any, ...], float]:
    """The entry, all arrays, those of the function, and its scale."""
    entry, a = load(name)
    arrays = tuple(a[f"in/{n}"] for n in ("q", "k", "v", "beta", "g") if f"in/{n}" in a)
    return entry, a, arrays, a["in/q"].shape[-1] ** -0.5


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", RULES["delta_rule"].golden)
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a, arrays, scale = golden(name)
    for out, state in (("out", np.zeros_like(a["init/S0"])), ("out_init", a["init/S0"])):
        given = backend.asarray(arrays), backend.asarray(state)
        how: dict[str, Any] = {"scale": scale, "method": method, "chunk_size": 16}
        got = ops.delta_rule(*given[0], state=given[1], **how)
        close(got, (a[f"{out}/S"], a[f"{out}/o"]), entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy")
def test_golden_in_float32(backend: Backend) -> None:
    entry, a, arrays, scale = golden("gated_delta_rule")
    arrays, state = optree.tree_map(half_or_flag, (arrays, a["init/S0"]))
    tolerance = entry["tolerance"]["float32_impl"]
    for method in METHODS:
        after, out = ops.delta_rule(*arrays, state=state, scale=scale, method=method)
        assert after.dtype == out.dtype == np.float32
        np.testing.assert_allclose(after, a["out_init/S"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(out, a["out_init/o"], rtol=0, atol=tolerance)
