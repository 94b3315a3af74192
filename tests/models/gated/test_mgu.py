"""MGU: golden vectors, and what its one gate does."""

from __future__ import annotations

from typing import Any

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=1e-9)


def test_mgu_golden(backend: Backend, x64: None) -> None:
    _, a = load("mgu")
    join = lambda *names: np.concatenate([a[f"param/{n}"].T for n in names], axis=-1)  # noqa: E731
    params = {
        "input": {"kernel": join("Wf", "Wh"), "bias": join("bf", "bh")},
        "hidden": {"kernel": join("Uf", "Uh")},
    }
    model = memcore.MGU(5, hidden_size=6)
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = model.apply(*backend.asarray((params, a["in/x"], start)))
        close(ys, a[f"{out}/y"])
        close(h, a[f"{out}/h"])


def test_mgu_golden_of_memax(backend: Backend, x64: None) -> None:
    _, a = load("memax_mgu")
    w = {key.removeprefix("param/algebra.algebra."): value for key, value in a.items()}
    join = lambda part: np.concatenate([w[f"{n}.{part}"].T for n in ("W_f", "W_h")], axis=-1)  # noqa: E731
    hidden = np.concatenate([w["U_f.weight"].T, w["U_h.weight"].T], axis=-1)
    params = {
        "input": {"kernel": join("weight"), "bias": join("bias")},
        "hidden": {"kernel": hidden},
    }
    model = memcore.MGU(6, hidden_size=6)
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/start"]))
    h, ys = model.apply(params, xs, starts=starts)
    close(ys, a["out/y"])
    close(h, a["out/h"])


def test_a_closed_gate_keeps_the_state() -> None:
    model = memcore.MGU(2, hidden_size=3)
    params = model.init(0, "float64")
    params["input"]["bias"][:3] = -1e3
    start, xs = np.array([0.3, -0.5, 0.9]), np.random.default_rng(0).normal(size=(50, 2))
    close(model.apply(params, xs, start)[0], start)
