"""NMax: memax's numbers, and what it keeps."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def test_n_max_golden(backend: Backend, x64: None) -> None:
    _, a = load("memax_nmax")
    model = memcore.NMax(6)
    params = {"decay": a["param/algebra.algebra.decay"]}
    args = backend.asarray((params, a["in/x"]))
    state, ys = model.apply(*args, starts=backend.asarray(a["in/start"]))
    np.testing.assert_allclose(np.asarray(ys), a["out/y"], atol=1e-9)
    np.testing.assert_allclose(np.asarray(state), a["out/h"], atol=1e-9)


def test_the_largest_is_never_forgotten_and_a_decay_halves_it() -> None:
    model, xs = memcore.NMax(2), np.zeros((31, 2))
    xs[0], xs[:, 1] = (8.0, 0.0), 1.0
    _, ys = model.apply(model.init(0, "float64"), xs)
    np.testing.assert_allclose(ys[-1], [8 / 9, 1 / 9])
    state, _ = model.apply({"decay": np.array([0.5, 1.0])}, xs)
    np.testing.assert_allclose(state, [8 * 0.5**30, 1])
    assert np.all(model.apply(model.init(0, "float64"), -xs - 1)[1] == 0)  # 0 / 0 is 0
