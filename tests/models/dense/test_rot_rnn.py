"""RotRNN: white inputs keep its state at length 1, and its rotations keep lengths."""

from __future__ import annotations

import numpy as np
import pytest

import memcore


@pytest.mark.parametrize("heads", [1, 4])
def test_white_inputs_keep_the_mean_squared_norm_at_one(heads: int) -> None:
    model = memcore.RotRNN(8, state_size=32, heads=heads, gamma_min=0.5, gamma_max=0.9)
    params = model.init(0, "float64")
    params["b"] *= 7.0  # whatever its size
    xs = np.random.default_rng(0).normal(size=(4000, 60, 8))
    (re, im), _ = model.apply(params, xs)
    np.testing.assert_allclose(np.mean(np.sum(re**2 + im**2, axis=-1), axis=0), 1, atol=0.05)


def test_without_inputs_a_state_shrinks_by_gamma_alone() -> None:
    model = memcore.RotRNN(3, state_size=8, heads=2)
    params, rng = model.init(0, "float64"), np.random.default_rng(0)
    start = tuple(rng.normal(size=(2, 2)) for _ in range(2))
    last, _ = model.apply(params, np.zeros((50, 3)), start)
    gamma = np.exp(-np.exp(params["gamma_log"]))
    assert np.all(gamma >= 0.9) and np.all(gamma <= 0.999)
    norms = [np.sum(re**2 + im**2, axis=-1) for re, im in (start, last)]
    np.testing.assert_allclose(norms[1], gamma**100 * norms[0])
