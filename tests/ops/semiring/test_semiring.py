"""Softmax, log-sum-exp and maximum at their limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.checks import METHODS, close
from cases.ops import BATCH, OPS, loop
from conftest import Backend

EVERY = ["softmax", "softmax_decay", "log_sum_exp", "log_sum_exp_decay", "max_plus"]


DECAY = {"softmax_decay": "g", "log_sum_exp_decay": "g", "max_plus": "a"}


FLOOR = -1e38


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", DECAY)
def test_a_decay_may_be_constant_in_time_or_over_the_batch(name: str, backend: Backend) -> None:
    op, rng = OPS[name], np.random.default_rng(0)
    arrays, state = op.draw(rng, 5), op.state(rng)
    valid = np.array([[True, True, False, True, True]] * BATCH)
    full = arrays[DECAY[name]].shape
    shapes = [(), (1,), full[2:], (1, *full[2:]), full[1:], (1, 1, *full[2:])]
    for shape in [*shapes, (BATCH, 1, *full[2:]), (BATCH, 5, 1)]:
        decay = -np.asarray(rng.uniform(0, 1, shape))
        given = {**arrays, DECAY[name]: np.broadcast_to(decay, full)}
        want = loop(op, given, state, valid=valid)
        given = backend.asarray({**arrays, DECAY[name]: decay})
        how = {"valid": backend.asarray(valid), "chunk_size": 2}
        for method in METHODS:
            close(op.run(given, backend.asarray(state), **how, method=method), want)


def extreme(name: str, rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    """Whole numbers up to 1e4, some of them nothing, with decays of 0, -1, -1e4 and -inf."""
    arrays = OPS[name].draw(rng, length)
    for n, x in arrays.items():
        if n == DECAY.get(name):
            arrays[n] = rng.choice([0.0, -1, -1e4, -np.inf], x.shape, p=[0.4, 0.4, 0.1, 0.1])
        elif n != "v":
            scores = np.round(rng.uniform(-1e4, 1e4, x.shape))
            near = np.round(1e4 - 3 * rng.random(x.shape))
            scores = np.where(rng.random(x.shape) < 0.3, near, scores)
            arrays[n] = np.where(rng.random(x.shape) < 0.1, -np.inf, scores)
    return arrays


def whole(name: str, arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """``(h, out)`` at every step, from the sums of logarithms of all pairs: h is the logarithm that the
    state holds, the largest or that of the sum."""
    x = arrays["s" if "v" in arrays else "b" if "b" in arrays else "x"]
    decay = arrays.get(DECAY.get(name, ""), np.zeros_like(x))
    hs, outs = [], []
    for t in range(x.shape[1]):
        logits = [x[:, j] + decay[:, j + 1 : t + 1].sum(1) for j in range(t + 1)]
        top = np.maximum(np.max(logits, axis=0), FLOOR)
        weights = np.exp(logits - top)
        total = weights.sum(0)
        h = top if name == "max_plus" or "v" in arrays else top + np.log(np.maximum(total, 1e-300))
        hs.append(h)
        if "v" in arrays:
            mean = np.einsum("jbh,bjhv->bhv", weights, arrays["v"][:, : t + 1])
            outs.append(mean / np.where(total > 0, total, 1)[..., None])
    return np.stack(hs, 1), np.stack(outs or hs, 1)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EVERY)
def test_extreme_numbers(name: str, method: str, backend: Backend) -> None:
    """In float32, where all sums of these logarithms are exact."""
    arrays = extreme(name, np.random.default_rng(0), 65)
    h, want = whole(name, arrays)
    low = {n: x.astype(np.float32) for n, x in arrays.items()}
    state, out = OPS[name].run(backend.asarray(low), None, method=method, chunk_size=16)
    last = np.asarray(state[0] if isinstance(state, tuple) else state)
    tolerance = 2e-3 if "log_sum_exp" in name else 1e-5  # a float32 of 1e4 has steps of 1e-3
    for a, b in ((last, h[:, -1]), (np.asarray(out), want)):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=tolerance)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", DECAY)
def test_gradients_of_extreme_numbers(name: str, backend: Backend, x64: None) -> None:
    """Finite, and the same in every method."""
    import jax
    import jax.numpy as jnp

    op, rng = OPS[name], np.random.default_rng(0)
    arrays = extreme(name, rng, 17)
    arrays = {n: x + 0.1 * rng.standard_normal(x.shape) for n, x in arrays.items()}  # no ties
    starts = backend.asarray(rng.random((BATCH, 17)) < 0.2)

    def loss(arrays: Any, method: str) -> Any:
        state, out = op.run(arrays, None, starts=starts, method=method, chunk_size=5)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves((state, out)))

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    given = backend.asarray(arrays)
    want = gradient(given, "sequential")
    for leaf in want.values():
        assert np.all(np.isfinite(np.asarray(leaf)))
        assert np.any(np.asarray(leaf))
    for method in METHODS[1:]:
        close(gradient(given, method), want, 1e-9)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("nothing", [-np.inf, FLOOR, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("name", EVERY)
def test_nothing_is_an_empty_memory(name: str, nothing: float, backend: Backend) -> None:
    """Scores not above the floor: the state stays empty, and a mean of nothing is 0."""
    op, rng = OPS[name], np.random.default_rng(0)
    arrays = {n: x.astype(np.float32) for n, x in op.draw(rng, 9).items()}
    arrays = {n: x if n in ("v", op.decay) else np.full_like(x, nothing) for n, x in arrays.items()}
    empty = op.empty(op.state(rng))
    for method in METHODS:
        state, out = op.run(backend.asarray(arrays), None, method=method, chunk_size=4)
        close(state, empty, 1e-6)
        want = np.zeros_like(arrays["v"]) if "v" in arrays else np.full(out.shape, FLOOR)
        close(out, want, 1e-6)


@pytest.mark.backend("jax")
@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", DECAY)
def test_gradients_of_nothing(name: str, method: str, backend: Backend) -> None:
    """An empty memory has none: it stays empty."""
    import jax
    import jax.numpy as jnp

    op = OPS[name]

    def loss(arrays: Any) -> Any:
        result = op.run(arrays, None, method=method, chunk_size=4)
        return sum(jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(result))

    arrays = {n: x.astype(np.float32) for n, x in op.draw(np.random.default_rng(0), 9).items()}
    arrays = {n: x if n in ("v", op.decay) else np.full_like(x, -np.inf) for n, x in arrays.items()}
    for leaf in jax.jit(jax.grad(loss))(backend.asarray(arrays)).values():
        np.testing.assert_array_equal(np.asarray(leaf), 0)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EVERY)
def test_a_score_of_minus_infinity_is_left_out(name: str, method: str, backend: Backend) -> None:
    """What it is compared with has that step taken out, but for its decay."""
    op, rng = OPS[name], np.random.default_rng(0)
    arrays, state = op.draw(rng, 9), op.state(rng)
    without = {n: np.delete(x, 4, axis=1) for n, x in arrays.items()}
    if op.decay:
        without[op.decay][:, 4] += arrays[op.decay][:, 4]
    for n in arrays.keys() - {"v", op.decay}:
        arrays[n][:, 4] = -np.inf
    how = {"method": method, "chunk_size": 4}
    after, out = op.run(*backend.asarray((arrays, state)), **how)
    want = op.run(*backend.asarray((without, state)), **how)
    close((after, np.delete(np.asarray(out), 4, axis=1)), want)


@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", EVERY)
def test_padding_before_all_else_in_half_precision(name: str, backend: Backend) -> None:
    """The floor of a state is no number of float16: it must not reach the outputs."""
    arrays = {
        n: x.astype(np.float16) for n, x in OPS[name].draw(np.random.default_rng(0), 5).items()
    }
    valid = np.arange(5) > 1
    for method in METHODS:
        state, out = OPS[name].run(arrays, None, valid=valid, method=method)
        assert out.dtype == np.float16 and np.all(np.isfinite(out))
        assert not np.any(out[:, :2])
