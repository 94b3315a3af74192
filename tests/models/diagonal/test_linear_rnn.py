"""Linear RNN: a running sum without gates, an average with them."""

from __future__ import annotations

import numpy as np

import memcore


def test_without_gates_it_adds() -> None:
    model = memcore.LinearRNN(3, hidden_size=3, gates=False)
    params = {"impulse": {"kernel": np.eye(3), "bias": np.zeros(3)}}
    xs = np.random.default_rng(0).normal(size=(40, 3))
    np.testing.assert_allclose(model.apply(params, xs)[1], np.cumsum(xs, axis=0), atol=1e-12)


def test_with_gates_it_stays_within_one_and_a_constant_is_reached() -> None:
    model = memcore.LinearRNN(2, hidden_size=4)
    params = model.init(0, "float64")
    xs = np.broadcast_to([3.0, -1.0], (400, 2))
    ys = model.apply(params, xs)[1]
    assert np.all(np.abs(ys) <= 1)
    np.testing.assert_allclose(ys[-1], np.tanh(xs[0] @ params["impulse"]["kernel"]), atol=1e-9)
