"""FFM: golden vectors of memax and memorax, its exact time, and where it begins."""

from __future__ import annotations

from typing import Any

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, atol: float) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=atol)


def test_ffm_golden_of_memax(backend: Backend, x64: None) -> None:
    """Its skip is the identity."""
    entry, a = load("memax_ffm")
    names = {
        "pre": "pre",
        "gate_in.linear": "input_gate",
        "gate_out.linear": "output_gate",
        "mix": "mix",
    }
    params: dict[str, Any] = {
        ours: {"kernel": a[f"param/{n}.weight"].T, "bias": a[f"param/{n}.bias"]}
        for n, ours in names.items()
    }
    params["skip"] = {"kernel": np.eye(6), "bias": np.zeros(6)}
    params["alpha"], params["omega"] = (a[f"param/algebra.algebra.params_{i}"] for i in (0, 1))
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/start"]))
    h, ys = memcore.FFM(6, traces=3, contexts=2).apply(params, xs, starts=starts)
    close(ys, a["out/y"], entry["tolerance"]["float32_impl"])
    close(np.asarray(h[0]) + 1j * np.asarray(h[1]), a["out/S"], 1e-4)


def test_ffm_golden_of_memorax(backend: Backend, x64: None) -> None:
    entry, a = load("memorax_ffm")
    names = ("pre", "input_gate", "output_gate", "mix", "skip")
    params: dict[str, Any] = {
        n: {part: a[f"param/{n}/{part}"] for part in ("kernel", "bias")} for n in names
    }
    # There alpha is the log of the decay, clipped from above at 0.
    params["alpha"], params["omega"] = np.minimum(a["param/alpha"], 0), a["param/omega"]
    model = memcore.FFM(6, traces=3, contexts=2, norm_first=True, eps=1e-6)
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/done"]))
    h, ys = model.apply(params, xs, starts=starts)
    close(ys, a["out/y"], entry["tolerance"]["float32_impl"])
    close(np.asarray(h[0]) + 1j * np.asarray(h[1]), a["out/S"], 1e-4)


def test_time_is_exact_and_in_the_state() -> None:
    """What a step wrote is weighted by gamma to the power of its age, wherever a stream is cut."""
    model = memcore.FFM(3, traces=4, contexts=3)
    p = model.init(0, "float64")
    for name in ("pre", "input_gate"):
        p[name]["bias"][:] = 0
    xs = np.zeros((3000, 3))
    xs[0] = [1.0, -2.0, 0.5]
    gamma = np.exp(-np.abs(p["alpha"])[:, None] + 1j * p["omega"])
    wrote = (xs[0] @ p["pre"]["kernel"]) / (1 + np.exp(-xs[0] @ p["input_gate"]["kernel"]))
    whole, _ = model.apply(p, xs)
    close(whole[0] + 1j * whole[1], gamma**2999 * wrote[:, None], 1e-12)
    state, _ = model.apply(p, xs[:200])
    for _ in range(3):
        state, _ = model.apply(p, xs[1:2], state)
    close(state[0] + 1j * state[1], gamma**202 * wrote[:, None], 1e-12)


def test_it_begins_as_the_authors_code() -> None:
    p = memcore.FFM(8, traces=5, contexts=4).init(0, "float64")
    radius, period = np.exp(-p["alpha"]), 2 * np.pi / p["omega"]
    close(period, [1, 342, 683, 1024], 1e-9)
    close(radius[-1] ** 1024, 0.01, 1e-12)
    assert np.all(np.diff(radius) > 0) and abs(radius[0] - np.exp(-0.67315)) < 1e-4
