"""IndRNN: golden vectors, and gradients that neither vanish nor grow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=atol)


def test_ind_rnn_golden(backend: Backend, x64: None) -> None:
    _, a = load("indrnn")
    params = {"input": {"kernel": a["param/W"].T, "bias": a["param/b"]}, "u": a["param/u"]}
    model = memcore.IndRNN(5, hidden_size=6)
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = model.apply(*backend.asarray((params, a["in/x"], start)))
        close(ys, a[f"{out}/y"])
        close(h, a[f"{out}/h"])


def test_ind_rnn_golden_of_memax(backend: Backend, x64: None) -> None:
    _, a = load("memax_indrnn")
    bias, u = (a[f"param/algebra.algebra.{n}"] for n in ("bias", "recurrent_kernel"))
    params = {"input": {"kernel": np.eye(6), "bias": bias}, "u": u}
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/start"]))
    h, ys = memcore.IndRNN(6, hidden_size=6).apply(params, xs, starts=starts)
    close(ys, a["out/y"])
    close(h, a["out/h"])


@pytest.mark.parametrize("horizon", [1, 10, 1000])
def test_no_unit_more_than_doubles_within_its_horizon(horizon: int) -> None:
    model = memcore.IndRNN(2, hidden_size=3, horizon=horizon)
    params = model.init(0, "float64")
    assert np.all(params["u"] >= 0) and np.all(params["u"] <= 2 ** (1 / horizon))
    params["u"][:] = [0.5, 1.0, 9.0]
    params["input"]["bias"][:] = 0
    state, _ = model.apply(params, np.zeros((horizon, 2)), np.ones(3))
    close(state, [0.5**horizon, 1.0, 2.0])
