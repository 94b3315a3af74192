"""What Titans' memory as context promises: causal by token, and starts inside a segment."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend

MODEL = memcore.TitansMAC(8, heads=2, segment=4, persistent=2, rate=0.5)


def test_no_token_sees_the_next_one(backend: Backend, x64: None) -> None:
    """Inside a segment and across its borders."""
    params = backend.asarray(MODEL.init(0, "float64"))
    xs = np.random.default_rng(0).normal(size=(10, 8))
    ys = backend.to_numpy(MODEL.apply(params, backend.asarray(xs))[1])
    for t in range(9):
        other = xs.copy()
        other[t + 1 :] = np.random.default_rng(t + 1).normal(size=other[t + 1 :].shape)
        got = backend.to_numpy(MODEL.apply(params, backend.asarray(other))[1])
        np.testing.assert_array_equal(got[: t + 1], ys[: t + 1])
        assert np.all(np.any(got[t + 1 :] != ys[t + 1 :], axis=-1))


def test_the_first_token_reaches_beyond_its_segment(backend: Backend, x64: None) -> None:
    """By the memory alone; a start between them ends that."""
    params = backend.asarray(MODEL.init(0, "float64"))
    xs = np.random.default_rng(0).normal(size=(2, 14, 8))
    xs[1, 1:] = xs[0, 1:]
    ys = backend.to_numpy(MODEL.apply(params, backend.asarray(xs))[1])
    assert np.all(np.max(np.abs(ys[0] - ys[1]), axis=-1) > 1e-8)
    starts = backend.asarray(np.broadcast_to(np.arange(14) == 2, (2, 14)).copy())
    ys = backend.to_numpy(MODEL.apply(params, backend.asarray(xs), starts=starts)[1])
    np.testing.assert_array_equal(ys[0, 2:], ys[1, 2:])
