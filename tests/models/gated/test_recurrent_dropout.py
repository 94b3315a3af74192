"""Recurrent dropout of GRU and LSTM: the paper's equations with the mask that a key draws."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.models.gated.gru import before, gru
from cases.models.gated.lstm import lstm
from conftest import Backend

RATE = 0.3
CASES = {
    "gru": (memcore.GRU(3, hidden_size=5, recurrent_dropout=RATE), gru),
    "gru_before": (memcore.GRU(3, hidden_size=5, reset="before", recurrent_dropout=RATE), before),
    "lstm": (memcore.LSTM(3, hidden_size=5, recurrent_dropout=RATE), lstm),
}
STARTS = np.isin(np.arange(9), [4, 7])[None] & np.array([[True], [False]])
each = pytest.mark.parametrize("name", CASES)


def key_of(backend: Backend, seed: int) -> Any:
    if backend.name != "jax":
        return seed
    import jax

    return jax.random.key(seed)


def drawn(name: str, backend: Backend, dtype: str = "float32") -> tuple[Any, ...]:
    """``(model, params, xs)``, two sequences of nine steps."""
    model = CASES[name][0]
    xs = np.random.default_rng(1).standard_normal((2, 9, 3)).astype(dtype)
    return model, *backend.asarray((model.init(0, dtype), xs))


def mask(model: Any, params: Any, xs: Any, key: Any) -> Any:
    """Which entries of the candidate are kept, ``(..., T, hidden_size)``."""
    return np.asarray(model.perturb(params, model.embed(params, xs), memcore.as_draw(key))[1])


@each
def test_a_key_drops_the_candidate_as_the_paper_says(
    name: str, backend: Backend, x64: None
) -> None:
    """In every method, with the mask of that key; what was remembered is not dropped."""
    (model, params, xs), loop = drawn(name, backend, "float64"), CASES[name][1]
    key, starts = key_of(backend, 3), backend.asarray(STARTS)
    kept = mask(model, params, xs, key)
    assert kept.any() and not kept.all()
    rows = zip(np.asarray(xs), STARTS, kept / (1 - RATE), strict=True)
    numbers = backend.to_numpy(params)
    states, wanted = zip(*(loop(numbers, x, s, None, drop) for x, s, drop in rows), strict=True)
    for method in (*(m for m in model.methods if backend.name == "jax" or m != "newton"), "auto"):
        state, ys = model.apply(params, xs, starts=starts, key=key, method=method)
        np.testing.assert_allclose(np.asarray(ys), np.stack(wanted), atol=1e-9)
        final = optree.tree_map(lambda *h: np.stack(h), *states)
        for got, want in zip(*map(optree.tree_leaves, (state, final)), strict=True):
            np.testing.assert_allclose(np.asarray(got), want, atol=1e-9)


@each
def test_a_rate_of_zero_and_no_key_are_the_same_to_the_bit(name: str, backend: Backend) -> None:
    (model, params, xs), key = drawn(name, backend), key_of(backend, 3)
    plain = replace(model, recurrent_dropout=0.0)
    for method in ("sequential", "fused"):
        runs = [
            model.apply(params, xs, method=method),
            plain.apply(params, xs, method=method),
            plain.apply(params, xs, method=method, key=key),
        ]
        want, *others = [np.asarray(ys) for _, ys in runs]
        for got in others:
            np.testing.assert_array_equal(got, want)


@each
def test_the_candidate_keeps_its_mean(name: str, backend: Backend) -> None:
    """The first step of 40,000 equal rows: the state is linear in the candidate."""
    model, _ = CASES[name]
    params = backend.asarray(model.init(0))
    x = np.random.default_rng(1).standard_normal((1, 1, 3)).astype("float32")
    one, many = backend.asarray((x, np.broadcast_to(x, (40_000, 1, 3))))
    want, _ = model.apply(params, one)
    drawn, _ = model.apply(params, many, key=key_of(backend, 3))
    want, drawn = (s[1] if name == "lstm" else s for s in (want, drawn))
    found = np.asarray(drawn)
    dropped = np.mean(found == 0, axis=0)
    np.testing.assert_allclose(dropped, RATE, atol=0.01)
    np.testing.assert_allclose(found.mean(0), np.asarray(want)[0], rtol=0.02)


@each
@pytest.mark.backend("jax")
def test_the_gradient_with_a_key(name: str, backend: Backend, x64: None) -> None:
    """The fused fold's is that of a plain one."""
    import jax

    (model, params, xs), key = drawn(name, backend, "float64"), key_of(backend, 3)
    starts = backend.asarray(STARTS)

    def loss(params: Any, xs: Any, method: str) -> Any:
        how = {"starts": starts, "key": key, "method": method}
        return jax.numpy.sum(model.apply(params, xs, **how)[1] ** 2)

    want, got = (jax.grad(loss, (0, 1))(params, xs, method) for method in ("sequential", "fused"))
    for a, b in zip(*map(optree.tree_leaves, (got, want)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-10)


@each
def test_each_step_and_each_key_draws_anew(name: str, backend: Backend) -> None:
    model, params, xs = drawn(name, backend)
    one, other = (mask(model, params, xs, key_of(backend, seed)) for seed in (3, 4))
    assert np.any(one != other)
    assert np.any(one[:, 1:] != one[:, :-1])


def test_a_rate_of_one_is_refused() -> None:
    for make in (memcore.GRU, memcore.LSTM):
        with pytest.raises(ValueError, match=r"^recurrent_dropout is 1\.0, expected a number of"):
            make(3, recurrent_dropout=1.0)
