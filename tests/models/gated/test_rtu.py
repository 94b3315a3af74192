"""RTU: golden vectors of memorax, and units that keep what they turn."""

from __future__ import annotations

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def test_rtu_golden(backend: Backend, x64: None) -> None:
    entry, a = load("memorax_rtu")
    params = {
        **{name: a[f"param/{name}"] for name in ("nu_log", "theta_log")},
        "a": {"kernel": a["param/B_real"].T},
        "b": {"kernel": a["param/B_imag"].T},
    }
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/done"]))
    _, ys = memcore.RTU(6, hidden_size=5).apply(params, xs, starts=starts)
    atol = entry["tolerance"]["float32_impl"]
    np.testing.assert_allclose(np.asarray(ys), a["out/y"], rtol=0, atol=atol)


def test_without_a_turn_it_fades_by_r() -> None:
    model = memcore.RTU(1, hidden_size=1)
    log = np.log(-np.log([0.9]))
    kernel = {"kernel": np.ones((1, 1))}
    params = {"nu_log": log, "theta_log": np.array([-50.0]), "a": kernel, "b": kernel}
    xs = np.eye(20, 1)
    ys = model.apply(params, xs)[1]
    want = np.sqrt(1 - 0.81) * 0.9 ** np.arange(20)
    np.testing.assert_allclose(ys, np.stack([want, want], -1), atol=1e-12)


def test_it_begins_on_the_disk() -> None:
    p = memcore.RTU(8, hidden_size=4000).init(0, "float64")
    r, theta = np.exp(-np.exp(p["nu_log"])), np.exp(p["theta_log"])
    assert abs(np.mean(r**2) - 0.5) < 0.02 and abs(theta.mean() - np.pi) < 0.1
    assert abs(p["a"]["kernel"].std() * 8**0.5 - 1) < 0.02
