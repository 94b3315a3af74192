"""Promises of the neural memories of Titans: what bounds them where descent diverges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from conftest import Backend

MODELS = {
    "neural_memory": memcore.NeuralMemory(16, heads=2, rate=0.25),
    "titans_mac": memcore.TitansMAC(16, heads=2, segment=16, rate=1.0),
    "titans_mag": memcore.TitansMAG(16, heads=2, window=4, rate=0.25),
    "titans_mal": memcore.TitansMAL(16, heads=2, window=4, rate=0.25),
}
each = pytest.mark.parametrize("name", MODELS)


def grown(params: Any) -> Any:
    """Weights at starts that training made three times as large."""

    def larger(path: Any, x: Any) -> Any:
        return 3 * x if "weights" in path else x

    return optree.tree_map_with_path(larger, params)


@each
def test_descent_that_diverges_stays_finite(name: str, backend: Backend) -> None:
    """A token that repeats adds up in a mini-batch. Without the bound the weights overflow."""
    model, x = MODELS[name], np.random.default_rng(0).standard_normal(16)
    xs = np.broadcast_to(x, (1, 200, 16)).astype("float32")
    params, xs = backend.asarray((grown(model.init(0)), xs))
    with np.errstate(all="ignore"):
        _, ys = replace(model, max_grad_norm=None).apply(params, xs)
    assert not np.isfinite(np.asarray(ys)).all()
    state, ys = model.apply(params, xs)
    assert np.isfinite(np.asarray(ys)).all()
    assert max(np.abs(np.asarray(leaf)).max() for leaf in optree.tree_leaves(state)) < 1000


@each
@pytest.mark.parametrize("most", [10.0, 1e30])
def test_where_descent_converges_the_bound_changes_nothing(
    name: str, most: float, backend: Backend
) -> None:
    """Nor does one whose square is no number of float32."""
    model = replace(MODELS[name], rate=0.01, max_grad_norm=most)
    xs = np.random.default_rng(0).standard_normal((2, 20, 16)).astype("float32")
    params, xs = backend.asarray((model.init(0), xs))
    want = replace(model, max_grad_norm=None).apply(params, xs)
    np.testing.assert_allclose(
        np.asarray(model.apply(params, xs)[1]), np.asarray(want[1]), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("size", [1, 4])
def test_a_step_is_at_most_the_rate_times_the_bound(size: int, backend: Backend, x64: None) -> None:
    """Without momentum and forgetting; of all layers together."""
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((3, 1, 1, 2, 4)) * 5
    gates = {"rate": np.full((1, 1, 2), 0.3), "momentum": np.zeros((1, 1, 2))}
    weights = (rng.standard_normal((2, 4, 6)), rng.standard_normal((2, 6, 4)))
    arrays = {"q": q, "k": k, "v": v, **gates, "forget": gates["momentum"], "weights": weights}
    state, _ = memcore.ops.neural_memory(
        **backend.asarray(arrays), mini_batch=size, max_grad_norm=0.7
    )
    after = (state if size == 1 else state["memory"])["weights"]
    moved = [np.asarray(w)[0] - before for w, before in zip(after, weights, strict=True)]
    norms = np.sqrt(sum(np.sum(m * m, axis=(-1, -2)) for m in moved))
    np.testing.assert_allclose(norms, 0.3 * 0.7, rtol=1e-9)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("residual", [False, True])
def test_what_is_cut_is_the_gradient_of_jax(residual: bool, backend: Backend, x64: None) -> None:
    """Of ``|M(k) - v|^2`` for each row and head, differentiated by JAX, not by hand; some are cut."""
    import jax
    import jax.numpy as jnp

    rng, most = np.random.default_rng(1), 2.5
    q, k, v = rng.standard_normal((3, 6, 2, 4))
    gates = {name: rng.uniform(0.1, 0.9, (6, 2)) for name in ("rate", "momentum", "forget")}
    weights = (rng.standard_normal((2, 4, 5)) / 2, rng.standard_normal((2, 5, 4)) / 2)

    def loss(layers: Any, k: Any, v: Any) -> Any:
        out = jax.nn.silu(k @ layers[0]) @ layers[1] + residual * k
        return jnp.sum((out - v) ** 2)

    norms = []
    for head in range(2):
        at: Any = [jnp.asarray(w[head]) for w in weights]
        speed = [jnp.zeros_like(w) for w in at]
        for t in range(6):
            rate, momentum, forget = (gates[name][t, head] for name in gates)
            slope = jax.grad(loss)(at, k[t, head], v[t, head])
            norms.append(float(jnp.sqrt(sum(jnp.sum(g * g) for g in slope))))
            cut = min(1.0, most / norms[-1])
            speed = [momentum * s - rate * cut * g for s, g in zip(speed, slope, strict=True)]
            at = [(1 - forget) * w + s for w, s in zip(at, speed, strict=True)]
        for method in ("sequential", "fused"):
            state, _ = memcore.ops.neural_memory(
                *backend.asarray((q, k, v)),
                **backend.asarray(gates),
                weights=backend.asarray(weights),
                residual=residual,
                max_grad_norm=most,
                method=method,
            )
            for got, want in zip(state["weights"], at, strict=True):
                np.testing.assert_allclose(got[head], want, rtol=1e-9, atol=1e-12)
    assert min(norms) < most < max(norms)
