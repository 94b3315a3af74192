"""What the papers promise of the rules, and numbers at their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from conftest import Backend
from memcore import ops
from memcore.ops.matrix.triangular import unit_lower_inverse, unit_lower_solve
from op_cases import BATCH, KEYS, OPS, WINDOW
from op_cases.checks import METHODS, at, close, drawn, half_or_flag

DECAYED = [name for name, op in OPS.items() if op.decay]


# --- decays ----------------------------------------------------------------------------------------


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
@pytest.mark.parametrize("name", [n for n in DECAYED if not n.startswith("dplr")])  # b a^T stays
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
    [*((name, "fused") for name in DECAYED), *(("gated_delta", m) for m in METHODS[:3])],
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


# --- what the papers promise -----------------------------------------------------------------------


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
def test_linear_attention_is_a_running_sum(method: str, backend: Backend) -> None:
    v = np.random.default_rng(0).standard_normal((17, 1, 3)).astype(np.float32)
    one = np.ones((17, 1, 1), np.float32)
    state, out = ops.linear_attention(*backend.asarray((one, one, v)), method=method, chunk_size=5)
    close(out, np.cumsum(v, axis=0), 1e-6)
    close(np.asarray(state)[0, 0], np.sum(v[:, 0], axis=0), 1e-6)
    _, mean = ops.linear_attention(*backend.asarray((one, one, v)), normalise=True, method=method)
    close(mean, np.cumsum(v, axis=0) / np.arange(1, 18, dtype=np.float32)[:, None, None], 1e-6)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["window", "window_rope", "window_alibi"])
def test_a_window_forgets_exactly_after_its_length(
    name: str, method: str, backend: Backend
) -> None:
    op, arrays, *_ = drawn(name, 17)
    arrays = optree.tree_map(half_or_flag, arrays)
    other = {n: np.array(x) for n, x in arrays.items()}
    other["k"][:, 6] += 1
    other["v"][:, 6] += 100
    one, two = (
        np.asarray(op.run(backend.asarray(x), None, method=method, chunk_size=5)[1])
        for x in (arrays, other)
    )
    changed = np.abs(one - two).max((0, 2, 3)) > 1e-3
    np.testing.assert_array_equal(np.flatnonzero(changed), np.arange(6, 6 + WINDOW))


@pytest.mark.backend("jax")
def test_a_long_window_is_full_attention(backend: Backend) -> None:
    import jax

    q, k, v = backend.asarray(optree.tree_map(half_or_flag, drawn("window", 17)[1])).values()
    want = jax.nn.dot_product_attention(q, k, v.repeat(2, -1)[..., :KEYS], is_causal=True)
    for window in (17, 40):
        _, out = ops.window_attention(q, k, v.repeat(2, -1)[..., :KEYS], window)
        close(out, want, 1e-5)
    want = jax.nn.dot_product_attention(
        q, k, v.repeat(2, -1)[..., :KEYS], is_causal=True, local_window_size=(5, 0)
    )
    _, out = ops.window_attention(q, k, v.repeat(2, -1)[..., :KEYS], 6)
    close(out, want, 1e-5)


@pytest.mark.backend("numpy")
@pytest.mark.requires("torch")
def test_a_long_window_is_full_attention_in_torch(backend: Backend) -> None:
    import torch

    arrays = drawn("window", 17)[1]
    q, k, v = (torch.tensor(np.moveaxis(arrays[n], 1, 2)) for n in "qkv")
    full = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True).numpy()
    for window in (17, 40):
        _, out = ops.window_attention(*(arrays[n] for n in "qkv"), window)
        close(out, np.moveaxis(full, 1, 2), 1e-12)


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


@pytest.mark.backend("numpy", "array_api_strict")
def test_unit_lower_inverse(backend: Backend) -> None:
    for size in (2, 3, 5, 8, 13):
        strict = np.tril(np.random.default_rng(size).standard_normal((2, size, size)), -1)
        strict = strict.astype(np.float32)
        got = unit_lower_inverse(backend.asarray(strict))
        want = np.linalg.inv(np.eye(size) + strict)
        close(got, want, 1e-5)


@pytest.mark.parametrize("beta", [1.0, 1.9, 1.99])
def test_unit_lower_solve_is_as_accurate_as_substitution(beta: float, backend: Backend) -> None:
    """All entries equal: the inverse alone has errors of 1e-5 to 4e-4, depending on the machine."""
    for seed in range(5):
        b = np.random.default_rng(seed).standard_normal((3, 64, 4)).astype(np.float32)
        lower = np.full((3, 64, 64), beta, np.float32)
        got = unit_lower_solve(backend.asarray(lower), backend.asarray(b))
        strict = np.tril(lower.astype(np.float64), -1)
        want = np.linalg.solve(np.eye(64) + strict, b.astype(np.float64))
        close(got, want, 1e-5)


@pytest.mark.backend("jax")
def test_unit_lower_solve_has_the_gradients_of_a_solution(backend: Backend, x64: None) -> None:
    from jax.test_util import check_grads

    rng = np.random.default_rng(0)
    lower, b = rng.standard_normal((2, 5, 5)), rng.standard_normal((2, 5, 3))
    check_grads(unit_lower_solve, backend.asarray((lower, b)), order=2, modes=("fwd", "rev"))


OVERFLOWING = ["attention", "attention_decay", "attention_channel_decay", "attention_normalised", "delta",
               "gated_delta", "channel_gated_delta", "dplr", "dplr_decay", "mlstm", "softmax", "window",
               "window_rope", "window_sinks", "window_grouped"]  # fmt: skip


@pytest.mark.parametrize("name", ["delta", "channel_gated_delta", "delta_product"])
def test_a_write_that_overflows_only_when_it_is_refined(name: str, backend: Backend) -> None:
    """A value near the largest number: the writes are finite, what is left of them to solve is not."""
    op = OPS[name]
    starts = np.zeros((BATCH, 40), dtype=bool)
    starts[:, 20] = True
    for seed in range(5):
        arrays = optree.tree_map(half_or_flag, op.draw(np.random.default_rng(seed), 40))
        how = {"starts": backend.asarray(starts), "method": "fused", "chunk_size": 40}
        want = np.asarray(op.run(backend.asarray(arrays), None, **how)[1])
        large = {**arrays, "v": arrays["v"].copy()}
        large["v"][0, 21] = 3e38
        with np.errstate(all="ignore"):
            got = np.asarray(op.run(backend.asarray(large), None, **how)[1])
        close((got[0, :20], got[1]), (want[0, :20], want[1]), 1e-5)


@pytest.mark.parametrize("size", [np.inf, 3e38, 1e25])
@pytest.mark.parametrize("name", OVERFLOWING)
def test_an_overflow_stays_in_its_segment(name: str, size: float, backend: Backend) -> None:
    """At step 8 of a segment from 5 to 11, in keys and values: no other segment changes, nor the past."""
    op, arrays, state, *_ = drawn(name, 17)
    arrays = optree.tree_map(lambda x: x.astype(np.float32), arrays)
    state = optree.tree_map(lambda x: x.astype(np.float32) if x.dtype.kind == "f" else x, state)
    starts = np.isin(np.arange(17), (5, 12)) & np.ones((2, 1), bool)
    bad = {n: x.copy() for n, x in arrays.items()}
    for key in ("k", "v"):
        if key in bad:
            bad[key][0, 8] = size
    with np.errstate(all="ignore"):
        want = op.run(
            *backend.asarray((arrays, state)), starts=backend.asarray(starts), method="sequential"
        )
        for method in (*METHODS[:3], "fused"):
            how = {"starts": backend.asarray(starts), "method": method, "chunk_size": 8}
            after, out = op.run(*backend.asarray((bad, state)), **how)
            kept = np.r_[:8, 12:17]
            close(np.asarray(out)[:, kept], np.asarray(want[1])[:, kept], 2e-5)
            close(np.asarray(out)[1], np.asarray(want[1])[1], 2e-5)
            close(after, want[0], 2e-5)
