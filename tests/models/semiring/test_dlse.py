"""The log-sum-exp memory: it is exact, and its empty state is finite and no write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

import memcore
from conftest import Backend


def test_the_empty_state_is_finite_and_no_write(backend: Backend) -> None:
    """After one input the memory is that input's k v^T alone, at any decay."""
    model = memcore.DLSE(4, heads=1)
    params, x = model.init(0), np.random.default_rng(0).normal(size=(1, 4)).astype("float32")
    assert np.all(np.isfinite(np.asarray(model.initial_state(params), "float32")))
    state, _ = model.apply(*backend.asarray((params, x)))
    k, v = ((x @ params[name]["kernel"])[0] for name in ("key", "value"))
    k, v = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (k, v))
    np.testing.assert_allclose(np.asarray(state).reshape(4, 4), np.outer(k, v), rtol=1e-5)


def test_two_equal_writes_add_the_logarithm_of_two() -> None:
    """Memax's parallel form counts its empty state once more per chunk; here the methods agree."""
    model = memcore.DLSE(6, heads=2)
    params = model.init(0, "float64") | {"log_rate": np.full((2, 3), -np.inf)}  # no decay
    xs = np.ones((16, 6))
    once, many = (
        model.apply(params, xs[:n], method=method)[0]
        for n, method in ((1, "sequential"), (16, "associative"))
    )
    np.testing.assert_allclose(many - once, np.log(16), atol=1e-12)
    assert replace(model, heads=3).sizes == (2, 2)
