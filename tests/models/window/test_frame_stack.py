"""Frame stacking forgets after W steps, and not before."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend


def test_it_forgets_after_w_steps(backend: Backend) -> None:
    model, xs = memcore.FrameStack(2, window=5), np.zeros((12, 2), "float32")
    xs[3] = 1
    state, ys = model.apply({}, backend.asarray(xs))
    seen = np.asarray(ys).reshape(12, 5, 2).any(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(seen), [3, 4, 5, 6, 7])
    assert ys.shape == (12, 10) and np.asarray(state[1]).all()
    place = np.asarray(ys).reshape(12, 5, 2)[5, :, 0]
    np.testing.assert_array_equal(place, [0, 0, 1, 0, 0])  # the oldest first
