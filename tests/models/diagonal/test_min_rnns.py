"""minGRU and minLSTM: golden vectors, and outputs that are averages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from golden_vectors import load

MODELS = {
    "mingru": (memcore.MinGRU, ("candidate", "update")),
    "minlstm": (memcore.MinLSTM, ("candidate", "forget", "input")),
}


@pytest.mark.parametrize("name", MODELS)
def test_golden(name: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    cls, order = MODELS[name]
    parts = np.split(a["param/W"], len(order))
    params = {n: {"kernel": part.T} for n, part in zip(order, parts, strict=True)}
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = cls(5, hidden_size=5).apply(*backend.asarray((params, a["in/x"], start)))
        atol = entry["tolerance"]["float64_impl"]
        np.testing.assert_allclose(np.asarray(ys), a[f"{out}/h"], rtol=0, atol=atol)
        np.testing.assert_allclose(np.asarray(h), a[f"{out}/hT"], rtol=0, atol=atol)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_stay_between_the_candidates(name: str) -> None:
    """Gates that sum to one: no output is above the largest candidate so far, nor below 0."""
    model: Any = MODELS[name][0](4, hidden_size=6)
    params, xs = model.init(0, "float64"), 9 * np.random.default_rng(0).normal(size=(200, 4))
    v = xs @ params["candidate"]["kernel"]
    candidates = np.where(v >= 0, v + 0.5, 1 / (1 + np.exp(-v)))
    ys = model.apply(params, xs)[1]
    assert np.all(ys <= np.maximum.accumulate(candidates) + 1e-12) and np.all(ys >= 0)


def test_closed_forget_and_input_gates_have_a_quotient() -> None:
    """sigmoid(-800) is 0, and 0 / 0 is nothing: the quotient is that of the exponents, 1 / 2 each."""
    model = memcore.MinLSTM(1, hidden_size=1)
    kernels = {"forget": -800.0, "input": -800.0, "candidate": 1.5}
    params = {name: {"kernel": np.full((1, 1), value)} for name, value in kernels.items()}
    ys = model.apply(params, np.ones((3, 1)))[1]
    np.testing.assert_allclose(ys[:, 0], [1.0, 1.5, 1.75])
