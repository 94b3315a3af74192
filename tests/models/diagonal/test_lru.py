"""Promises of the LRU alone: golden vectors, and the ring where it begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


def test_lru_golden(backend: Backend, x64: None) -> None:
    _, a = load("lru")
    params = {name: a[f"param/{name}"] for name in ("nu_log", "theta_log", "gamma_log")}
    params |= {n.lower(): a[f"param/{n}"].T for n in ("B_re", "B_im", "C_re", "C_im")}
    params["d"] = a["param/Dskip"]
    model, start = memcore.LRU(5, state_size=6), (a["init/x0_re"], a["init/x0_im"])
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        h, ys = model.apply(*backend.asarray((params, a["in/u"], state)))
        close(ys, a[f"{out}/y"])
        close(np.asarray(h[0]) + 1j * np.asarray(h[1]), a[f"{out}/x"])


def test_lru_begins_on_its_ring() -> None:
    for low, high, phase in ((0.0, 1.0, 2 * np.pi), (0.9, 0.999, 0.3), (0.99999, 1.0, 1.0)):
        model = memcore.LRU(4, state_size=4000, r_min=low, r_max=high, max_phase=phase)
        for seed in range(3):
            p = model.init(seed)
            assert all(np.all(np.isfinite(x)) for x in p.values())
            radius = np.exp(-np.exp(p["nu_log"].astype(np.float64)))
            angle = np.exp(p["theta_log"].astype(np.float64))
            assert np.all(radius >= low - 1e-6) and np.all(radius <= high + 1e-6)
            assert np.all(angle > 0) and np.all(angle <= phase * (1 + 1e-6))
            # Uniform over the area: half of the states beyond the radius that halves it.
            middle = np.sqrt((low**2 + high**2) / 2)
            assert abs(np.mean(radius > middle) - 0.5) < 0.06
            if high < 1:
                close(np.exp(p["gamma_log"]), np.sqrt(1 - radius**2), 1e-4)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_lru_parameters_are_finite(dtype: str) -> None:
    model = memcore.LRU(4, state_size=512)
    for seed in range(10):
        assert all(np.all(np.isfinite(x)) for x in model.init(seed, dtype).values())


def test_lru_neither_grows_nor_vanishes() -> None:
    model = memcore.LRU(8, state_size=4000, r_min=0.5, r_max=0.9)
    xs = np.random.default_rng(0).standard_normal((1, 200, 8))
    state, _ = model.apply(model.init(0, "float64"), xs)
    power = np.mean(state[0] ** 2 + state[1] ** 2)
    assert 0.5 < power < 2  # gamma normalises |h|^2 to that of B x
