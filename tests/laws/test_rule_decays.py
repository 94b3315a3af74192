"""Decays at their limits: huge ones, of minus infinity, before a start."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import METHODS, at, close, drawn, half_or_flag
from cases.ops import BATCH, OPS
from conftest import Backend

DECAYED = [name for name, op in OPS.items() if op.decay]


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DECAYED)
def test_a_huge_decay_before_a_start_changes_nothing_after_it(
    name: str, method: str, backend: Backend
) -> None:
    op, arrays, state, initial, _, _ = drawn(name, 17)
    arrays, state, initial = optree.tree_map(half_or_flag, (arrays, state, initial))
    starts = np.zeros((BATCH, 17), dtype=bool)
    starts[:, 7] = True
    how = {**backend.asarray({"starts": starts, "initial": initial}), "method": method}

    def after_start(decay: float | None) -> Any:
        g = np.array(arrays[op.decay])
        if decay is not None:
            g[:, 2:5] = g[:, 6] = decay
        xs = backend.asarray({**arrays, op.decay: g})
        after, out = op.run(xs, backend.asarray(state), **how, chunk_size=16)
        assert np.all(np.isfinite(np.asarray(out)))
        return after, at(out, slice(None), slice(7, None))

    want = after_start(None)
    for decay in (-1e4, -np.inf):
        close(after_start(decay), want, 1e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "name", [n for n in DECAYED if not n.startswith("dplr_delta_rule")]
)  # b a^T stays
def test_a_decay_of_minus_infinity_forgets_all(name: str, method: str, backend: Backend) -> None:
    op, arrays, state, *_ = drawn(name, 17)
    arrays, state = optree.tree_map(half_or_flag, (arrays, state))
    arrays[op.decay][:, 9] = -np.inf
    rest = {n: x[:, 9:] for n, x in arrays.items()}
    how = {"method": method, "chunk_size": 5}
    after, out = op.run(*backend.asarray((arrays, state)), **how)
    want = op.run(*backend.asarray((rest, op.empty(state))), method="sequential")
    close((after, at(out, slice(None), slice(9, None))), want, 1e-5)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", DECAYED)
def test_the_lowest_decay_is_one_of_minus_infinity(
    name: str, method: str, backend: Backend
) -> None:
    """Some of them in a row add up to no overflow, of which NumPy would warn."""
    op, arrays, state, *_ = drawn(name, 17)
    arrays, state = optree.tree_map(half_or_flag, (arrays, state))
    for before in (state, None):
        for chunk_size in (1, 2, 5, 16) if method == "fused" else (5,):
            results = []
            for decay in (-np.inf, np.finfo(np.float32).min):
                arrays[op.decay][:, :2] = arrays[op.decay][:, 3:6] = decay
                results.append(op.run(arrays, before, method=method, chunk_size=chunk_size))
            close(*results, 0.0)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", ["mlstm", "softmax_decay", "log_sum_exp_decay", "max_plus"])
def test_the_lowest_decay_has_the_gradient_of_minus_infinity(name: str, backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, *_ = drawn(name, 17)
    arrays, state = optree.tree_map(half_or_flag, (arrays, state))

    def loss(xs: Any, state: Any, method: str) -> Any:
        parts = optree.tree_leaves(op.run(xs, state, method=method, chunk_size=5))
        return sum(jnp.sum(jnp.sin(part)) for part in parts)

    gradient = jax.jit(jax.grad(loss, (0, 1)), static_argnums=2)
    for method in ("associative", "fused"):
        results = []
        for decay in (-np.inf, np.finfo(np.float32).min):
            arrays[op.decay][:, 3:6] = decay
            results.append(gradient(*backend.asarray((arrays, state)), method))
        close(*results, 1e-6)
        assert all(np.all(np.isfinite(leaf)) for leaf in optree.tree_leaves(results))
        assert not np.any(np.asarray(results[1][0][op.decay])[:, 3:6])


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, "fused") for name in DECAYED), *(("delta_rule_decay", m) for m in METHODS[:3])],
)
def test_gradients_do_not_see_a_decay_before_a_start(
    name: str, method: str, backend: Backend
) -> None:
    import jax
    import jax.numpy as jnp

    op, arrays, state, initial, _, _ = drawn(name, 17)
    arrays, state, initial = optree.tree_map(half_or_flag, (arrays, state, initial))
    starts = np.broadcast_to(np.arange(17) == 7, (BATCH, 17))

    def loss(xs: Any, state: Any, initial: Any) -> Any:
        how = {"starts": jnp.asarray(starts), "initial": initial, "method": method}
        after, out = op.run(xs, state, **how, chunk_size=16)
        parts = (out[:, 7:], *optree.tree_leaves(after))
        return sum(jnp.sum(jnp.sin(part)) for part in parts), parts

    gradient = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))
    want = gradient(*backend.asarray((arrays, state, initial)))
    for decay in (-1e4, -np.inf):
        g = np.array(arrays[op.decay])
        g[:, 2:5] = g[:, 6] = decay
        close(gradient(*backend.asarray(({**arrays, op.decay: g}, state, initial))), want, 1e-6)
    assert not np.any(np.asarray(want[0][0][op.decay])[:, :7])
