"""Promises of DeltaNet: a write replaces what stands at its key, and negative eigenvalues count."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend
from models.matrix.transitions import eigenvalues, parity


def test_it_reads_the_last_value_written_at_a_key(backend: Backend, x64: None) -> None:
    """Keys and queries are one-hot, values positive; beta is 1."""
    keys, size, width = 4, 3, 12
    model = memcore.DeltaNet(width, heads=1, key_size=keys, value_size=size, conv_size=2)
    pick = np.eye(width)
    params = model.init(0, "float64") | {
        "query": {"kernel": 1e4 * pick[:, :4]},
        "key": {"kernel": 1e4 * pick[:, 4:8]},
        "value": {"kernel": pick[:, 8:11]},
        "beta": {"kernel": 100 * pick[:, 11:]},
        "output": {"kernel": pick[:size]},
    }
    for name in ("query", "key", "value"):
        taps = np.zeros_like(params[f"{name}_conv"]["kernel"])
        taps[-1] = 1
        params[f"{name}_conv"] = {"kernel": taps}
    rng = np.random.default_rng(0)
    written, read = rng.integers(0, keys, 30), rng.integers(0, keys, 30)
    values = rng.uniform(1, 2, (30, size))
    xs = np.concatenate([np.eye(4)[read], np.eye(4)[written], values, np.ones((30, 1))], axis=-1)
    ys = np.asarray(model.apply(*backend.asarray((params, xs)))[1])
    for t in range(30):
        times = np.flatnonzero(written[: t + 1] == read[t])
        last = values[times[-1]] / (1 + np.exp(-values[times[-1]])) if len(times) else np.zeros(3)
        want = last / np.sqrt(np.mean(last**2) + 4e-6)  # read through a scale of 1 / 2
        np.testing.assert_allclose(ys[t, :size], want, atol=1e-6)


def test_negative_eigenvalues_solve_parity() -> None:
    bits = np.random.default_rng(0).integers(0, 2, (16, 40))
    small = {"heads": 1, "key_size": 1, "value_size": 1, "conv_size": 2}
    odd = np.cumsum(bits, axis=-1) % 2
    said = parity(memcore.DeltaNet(3, **small, negative_eigenvalues=True), bits)
    np.testing.assert_allclose(said, 1 - 2 * odd, atol=1e-3)
    said = parity(memcore.DeltaNet(3, **small), bits)
    assert np.all(said[:, -1] >= -1e-12)  # whatever the bits are


def test_eigenvalues() -> None:
    positive = eigenvalues(memcore.DeltaNet(6, heads=2))
    assert np.all(positive.real >= -1e-12) and np.all(positive.real <= 1 + 1e-12)
    negative = eigenvalues(memcore.DeltaNet(6, heads=2, negative_eigenvalues=True))
    assert negative.real.min() < -0.5 and np.all(negative.real > -1)
