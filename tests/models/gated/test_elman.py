"""Elman: the numbers of torch, and what ReLU units can count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from golden_vectors import load


def from_torch(a: Any) -> dict[str, Any]:
    bias = a["param/bias_ih_l0"] + a["param/bias_hh_l0"]
    return {
        "input": {"kernel": a["param/weight_ih_l0"].T, "bias": bias},
        "hidden": {"kernel": a["param/weight_hh_l0"].T},
    }


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_elman_golden(activation: str, backend: Backend, x64: None) -> None:
    entry, a = load(f"rnn_{activation}")
    model = memcore.Elman(5, hidden_size=6, activation=activation)
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = model.apply(*backend.asarray((from_torch(a), a["in/x"], start)))
        atol = entry["tolerance"]["float64_impl"]
        np.testing.assert_allclose(np.asarray(ys), a[f"{out}/y"], rtol=0, atol=atol)
        np.testing.assert_allclose(np.asarray(h), a[f"{out}/h"], rtol=0, atol=atol)


def test_relu_units_count() -> None:
    """U = 1 and W = 1: the state is the number of ones, however long."""
    model = memcore.Elman(1, hidden_size=1, activation="relu")
    one = np.ones((1, 1))
    params = {"input": {"kernel": one, "bias": np.zeros(1)}, "hidden": {"kernel": one}}
    xs = np.random.default_rng(0).integers(0, 2, (300, 1)).astype("float64")
    np.testing.assert_array_equal(model.apply(params, xs)[1], np.cumsum(xs, axis=0))


def test_heads_do_not_see_each_other() -> None:
    model = memcore.Elman(2, hidden_size=6, heads=2)
    params, xs = model.init(0, "float64"), np.random.default_rng(0).normal(size=(9, 2))
    other = np.zeros((6,))
    other[:3] = 0.5
    first, second = model.apply(params, xs)[1], model.apply(params, xs, other)[1]
    assert np.array_equal(first[:, 3:], second[:, 3:])
    assert not np.allclose(first[0, :3], second[0, :3])
