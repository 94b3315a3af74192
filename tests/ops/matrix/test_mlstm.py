"""The mLSTM: golden vectors, what the paper promises, large gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import METHODS, close, half_or_flag
from cases.ops import BATCH, HEADS, KEYS, OPS
from conftest import Backend
from golden_vectors import load
from memcore import ops


def golden(name: str) -> tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]:
    """The entry, the arrays, and by "out" and "out_init" the state at the beginning and the results."""
    entry, a = load(name)
    gates = (a["in/ig"], -np.log1p(np.exp(-a["in/fg"])))
    start = (a["init/C0"], a["init/n0"], a["init/m0"])
    runs = {
        out: (state, (tuple(a[f"{out}/{n}"] for n in "Cnm"), a[f"{out}/h"]))
        for out, state in (("out", None), ("out_init", start))
    }
    return entry, (a["in/q"], a["in/k"], a["in/v"], *gates), runs


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mlstm", "mlstm_hf"])
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, arrays, runs = golden(name)
    how = {"scale": arrays[0].shape[-1] ** -0.5, "method": method, "chunk_size": 16}
    for state, want in runs.values():
        got = ops.mlstm(*backend.asarray((*arrays, state)), **how)
        close(got, want, entry["tolerance"]["float64_impl"])


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
def test_golden_in_float32(method: str, backend: Backend) -> None:
    entry, arrays, runs = golden("mlstm")
    state, (_, want) = runs["out_init"]
    arrays, state = optree.tree_map(half_or_flag, (arrays, state))
    _, out = ops.mlstm(*arrays, state, scale=arrays[0].shape[-1] ** -0.5, method=method)
    assert out.dtype == np.float32
    np.testing.assert_allclose(out, want, rtol=0, atol=entry["tolerance"]["float32_impl"])


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_open_gates_are_linear_attention(method: str, backend: Backend) -> None:
    x = OPS["mlstm"].draw(np.random.default_rng(0), 17)
    q, k, v, one = x["q"], x["k"], x["v"], np.ones_like(x["v"][..., :1])
    gates = (np.zeros_like(x["i"]), np.zeros_like(x["g"]))
    how = {"method": method, "chunk_size": 5}
    (S, z, _), out = ops.mlstm(*backend.asarray((q, k, v, *gates)), eps=0.0, **how)
    want, found = ops.linear_attention(*backend.asarray((q, k, v)), **how)
    _, norm = ops.linear_attention(*backend.asarray((q, k, one)), **how)
    close(S, want)
    close(z, np.sum(k, axis=1))
    close(out, np.asarray(found) / np.maximum(np.abs(np.asarray(norm)), 1))


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_the_stabiliser_changes_no_output(method: str, backend: Backend) -> None:
    """Two states of different m may mean the same memory: then every later output is the same."""
    op, rng = OPS["mlstm"], np.random.default_rng(0)
    x, (S, z, m) = op.draw(rng, 17), op.state(rng)
    want = op.run(*backend.asarray((x, (S, z, m))), eps=0.0, method=method, chunk_size=5)
    for shift in (-3.0, 3.0):
        state = (S * np.exp(-shift), z * np.exp(-shift), m + shift)
        got = op.run(*backend.asarray((x, state)), eps=0.0, method=method, chunk_size=5)
        close(got[1], want[1])
        (S1, _, m1), (S2, _, m2) = optree.tree_map(np.asarray, (got[0], want[0]))
        close(S1 * np.exp(m1 - m2)[..., None, None], S2)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_an_input_gate_of_zero_writes_nothing(method: str, backend: Backend) -> None:
    """That step is taken out, but for its decay; and a memory that nothing was written to reads 0."""
    op, rng = OPS["mlstm"], np.random.default_rng(0)
    x, state = op.draw(rng, 9), op.state(rng)
    without = {n: np.delete(a, 4, axis=1) for n, a in x.items()}
    without["g"][:, 4] += x["g"][:, 4]
    x["i"][:, 4] = -np.inf
    how = {"method": method, "chunk_size": 4}
    after, out = op.run(*backend.asarray((x, state)), **how)
    want = op.run(*backend.asarray((without, state)), **how)
    close((after, np.delete(np.asarray(out), 4, axis=1)), want)

    x["i"][:], x["g"][:, 3:5] = -np.inf, -np.inf
    after, out = op.run(*backend.asarray((x, state)), **how)
    assert all(np.all(np.isfinite(np.asarray(leaf))) for leaf in after)
    close(np.asarray(out)[:, 3:], np.zeros_like(x["v"][:, 3:]))


def large(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    """Input gates up to exp(1e4), some of them nearly the same; forget gates of 1, of e^-1e4 and of 0.

    Whole numbers, which bfloat16 holds, and of which float32 holds every sum.
    """
    x, shape = OPS["mlstm"].draw(rng, length), (BATCH, length, HEADS)
    near, far = 9984 - rng.integers(0, 2, shape) * 64, 64 * rng.integers(-156, 157, shape)
    i = np.where(rng.random(shape) < 0.3, near, far)
    g = rng.choice([0.0, -64, -9984, -np.inf], shape, p=[0.6, 0.2, 0.1, 0.1])
    return {**x, "i": np.where(rng.random(shape) < 0.2, i - i % 64 - 1, i).astype(float), "g": g}


def whole(x: dict[str, np.ndarray]) -> np.ndarray:
    """The outputs from all pairs of steps: softmax-like weights, in which any factor cancels."""
    outs = []
    for t in range(x["q"].shape[1]):
        logs = np.stack([x["i"][:, j] + x["g"][:, j + 1 : t + 1].sum(1) for j in range(t + 1)], 1)
        top = np.max(logs, axis=1)
        weights = np.exp(logs - top[:, None])
        weights = weights * np.einsum("bhk,bjhk->bjh", 0.5 * x["q"][:, t], x["k"][:, : t + 1])
        with np.errstate(over="ignore"):
            norm = np.maximum(np.abs(weights.sum(1)), np.exp(-top))
        out = np.einsum("bjh,bjhv->bhv", weights, x["v"][:, : t + 1])
        outs.append(out / norm[..., None])
    return np.stack(outs, 1)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
def test_large_gates(method: str, backend: Backend) -> None:
    x = large(np.random.default_rng(0), 65)
    x = {n: np.abs(a) + 0.1 if n in "qk" else a for n, a in x.items()}  # no quotient of small sums
    low = backend.asarray(optree.tree_map(half_or_flag, x))
    state, out = OPS["mlstm"].run(low, None, eps=0.0, method=method, chunk_size=16)
    np.testing.assert_allclose(np.asarray(out), whole(x), rtol=0, atol=1e-5)
    assert all(np.all(np.isfinite(np.asarray(leaf))) for leaf in state)


@pytest.mark.backend("jax")
def test_large_gates_in_bfloat16(backend: Backend) -> None:
    """The gates are exact, so that only q, k, v and the outputs are rounded."""
    import jax.numpy as jnp

    x = large(np.random.default_rng(0), 33)
    x = {n: np.abs(a) + 0.1 if n in "qk" else a for n, a in x.items()}
    low = {n: jnp.asarray(a, jnp.bfloat16) for n, a in x.items()}
    rounded = {n: np.asarray(a).astype(np.float64) for n, a in low.items()}
    state, out = OPS["mlstm"].run(low, None, eps=0.0, method="fused", chunk_size=16)
    assert out.dtype == jnp.bfloat16 and {str(leaf.dtype) for leaf in state} == {"float32"}
    close(np.asarray(out).astype(np.float64), whole(rounded), 1e-2)


@pytest.mark.backend("jax")
def test_gradients_of_large_gates(backend: Backend, x64: None) -> None:
    """Finite, and those of the fold; also where the stabiliser begins far away."""
    import jax
    import jax.numpy as jnp

    op, rng = OPS["mlstm"], np.random.default_rng(0)
    x = large(rng, 17)
    x = {n: a + 0.1 * rng.standard_normal(a.shape) for n, a in x.items()}  # no ties
    x["i"][0, 3:5] = -np.inf
    starts = backend.asarray(rng.random((BATCH, 17)) < 0.2)

    def loss(x: Any, m: Any, method: str) -> Any:
        S, z, _ = (jnp.asarray(s[0]) for s in op.state(np.random.default_rng(1)))
        how = {"starts": starts, "initial": (S, z, m), "method": method, "chunk_size": 5}
        state, out = op.run(x, None, **how)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in (*state, out))

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    for m in (-1e4, 0.0, 1e4):
        given = (backend.asarray(x), backend.asarray(np.full(HEADS, m)))
        want = gradient(*given, "sequential")
        for leaf in optree.tree_leaves(want):
            assert np.all(np.isfinite(np.asarray(leaf)))
        assert all(np.any(np.asarray(leaf)) for leaf in want[0].values())
        for method in ("chunked", "fused"):
            close(gradient(*given, method), want, 1e-9)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", ["sequential", "fused"])
def test_a_stabiliser_far_below_zero(method: str, backend: Backend) -> None:
    """exp(-m) would overflow in float32, and its square sooner: the output is 0 to rounding."""
    import jax
    import jax.numpy as jnp

    op, rng = OPS["mlstm"], np.random.default_rng(0)
    x, state = optree.tree_map(half_or_flag, (op.draw(rng, 9), op.state(rng)))
    x["i"][:] = -np.inf
    given = backend.asarray(x)

    def loss(x: Any, state: Any) -> Any:
        after, out = op.run(x, state, method=method, chunk_size=4)
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in (*after, out)), out

    gradient = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
    for m in (-60, -1e4, -1e30):
        far = (*state[:2], np.full_like(state[2], m))
        found, out = gradient(given, backend.asarray(far))
        np.testing.assert_allclose(np.asarray(out), 0, rtol=0, atol=1e-15)
        for leaf in optree.tree_leaves(found):
            assert np.all(np.isfinite(np.asarray(leaf)))


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
def test_a_query_of_zero_reads_zero(method: str, backend: Backend) -> None:
    """Without eps too, where exp(-m) is 0 in float32."""
    x = optree.tree_map(half_or_flag, OPS["mlstm"].draw(np.random.default_rng(0), 9))
    x["q"][:, 4:] = 0
    x["i"] += 200
    _, out = OPS["mlstm"].run(x, None, eps=0.0, method=method, chunk_size=4)
    assert np.all(np.isfinite(out)) and np.any(out[:, :4])
    assert not np.any(out[:, 4:])


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", METHODS[1:])
def test_exact_ties_have_one_gradient(method: str, backend: Backend, x64: None) -> None:
    """Gates of 0 and small integers: every logarithm is the largest one, and denominators tie with 1."""
    import jax

    rng = np.random.default_rng(0)
    q, k, v = (rng.integers(-1, 2, (BATCH, 9, HEADS, KEYS)).astype(float) for _ in range(3))
    gates, starts = np.zeros((BATCH, 9, HEADS)), rng.random((BATCH, 9)) < 0.2
    arrays, starts = backend.asarray(((q, k, v, gates, gates), starts))

    def loss(arrays: Any, method: str) -> Any:
        out = ops.mlstm(*arrays, starts=starts, method=method, chunk_size=4, eps=0.0)[1]
        return jax.numpy.sum(jax.numpy.sin(out))

    close(jax.grad(loss)(arrays, method), jax.grad(loss)(arrays, "sequential"), 1e-12)


@pytest.mark.backend("jax")
def test_a_run_on_a_cpu_moves_none_of_its_inputs(backend: Backend) -> None:
    """With four times the steps its temporaries grow by less than two inputs do; there are three, and the
    outputs, of their size."""
    import jax
    import jax.numpy as jnp

    def temporaries(length: int) -> int:
        q, g = jnp.ones((2, length, 2, 8)), -jnp.ones((2, length, 2))

        def run(q: Any) -> Any:
            return ops.mlstm(q, q, q, g, g, method="fused", chunk_size=16)[1]

        return int(jax.jit(run).lower(q).compile().memory_analysis().temp_size_in_bytes)

    assert temporaries(512) - temporaries(128) < 2 * (512 - 128) * 2 * 2 * 8 * 4
