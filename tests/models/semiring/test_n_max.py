"""NMax: memax's numbers, and what it keeps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

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


@pytest.mark.parametrize("size", [2.0**-120, 2.0**126])
def test_shares_of_the_smallest_and_largest_numbers(size: float, backend: Backend) -> None:
    model, xs = memcore.NMax(8), np.full((2, 8), size, "float32")
    xs[0, :4] = 0
    ys = model.apply(*backend.asarray((model.init(0), xs)))[1]
    np.testing.assert_allclose(np.asarray(ys), [[0] * 4 + [1 / 4] * 4, [1 / 8] * 8], rtol=1e-6)


@pytest.mark.backend("jax")
def test_the_gradient_of_what_faded_long_ago(backend: Any) -> None:
    """Shares do not fade: y = x / s, and the gradient of w . y is (w - w . y) / s, whatever d^100 is."""
    import jax

    model, params = memcore.NMax(3), {"decay": np.full(3, 0.5, "float32")}
    xs, w = np.zeros((101, 3), "float32"), np.array([1.0, -2.0, 4.0], "float32")
    xs[0] = x = np.array([1.0, 2.0, 5.0], "float32")
    slope = jax.grad(lambda xs: (model.apply(params, xs)[1][-1] * w).sum())(xs)
    np.testing.assert_allclose(slope[0], (w - w @ x / 8) / 8, rtol=1e-5)
