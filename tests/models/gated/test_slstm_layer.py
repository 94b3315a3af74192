"""The layer around an sLSTM: its heads, its norm, what its convolution reaches, and its beginning."""

from __future__ import annotations

from typing import Any

import numpy as np

import memcore
from conftest import Backend


def trained(model: memcore.Model) -> Any:
    """Parameters of which none is zero: R is, at the beginning."""
    rng, params = np.random.default_rng(0), model.init(0, "float64")
    kernel = params["memory"]["hidden"]["kernel"]
    params["memory"]["hidden"]["kernel"] = rng.normal(size=kernel.shape)
    return params


def test_heads_do_not_see_each_other(backend: Backend, x64: None) -> None:
    model = memcore.SLSTMLayer(8, heads=2)
    params, xs = trained(model), np.random.default_rng(1).normal(size=(10, 8))
    other = xs.copy()
    other[:, 4:] += 1
    params, xs, other = backend.asarray((params, xs, other))
    ys, changed = (backend.to_numpy(model.apply(params, x)[1]) for x in (xs, other))
    np.testing.assert_array_equal(ys[:, :4], changed[:, :4])
    assert np.abs(ys[:, 4:] - changed[:, 4:]).max() > 0.1


def test_every_head_has_mean_zero_and_size_one() -> None:
    model = memcore.SLSTMLayer(64, heads=2)
    ys = model.apply(trained(model), np.random.default_rng(0).normal(size=(9, 64)))[1]
    heads = ys.reshape(9, 2, 32)
    np.testing.assert_allclose(heads.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(heads.std(-1), 1, atol=1e-2)


def test_two_gates_alone_read_the_convolution() -> None:
    """With its taps at zero the candidates and outputs go on as before, and i and f are their biases."""
    model = memcore.SLSTMLayer(8, heads=2)
    params, xs = trained(model), np.random.default_rng(0).normal(size=(9, 8))
    params["conv"] = {name: 0 * leaf for name, leaf in params["conv"].items()}
    ys = model.apply(params, xs)[1]
    for name in ("input_gate", "forget_gate"):
        params[name]["kernel"] = params[name]["kernel"] + 1
    np.testing.assert_array_equal(model.apply(params, xs)[1], ys)
    params["candidate"]["kernel"] = params["candidate"]["kernel"] + 1
    assert np.abs(model.apply(params, xs)[1] - ys).max() > 0.1


def test_it_begins_as_the_authors_code() -> None:
    p = memcore.SLSTMLayer(80, heads=4).init(0, "float64")
    assert not p["memory"]["hidden"]["kernel"].any() and np.all(p["norm"]["scale"] == 1)
    bias = memcore.SLSTM(80, hidden_size=80, heads=4).init(0, "float64")["input"]["bias"]
    np.testing.assert_array_equal(p["memory"]["bias"], bias)
    for name in ("input_gate", "forget_gate", "candidate", "output_gate"):
        assert abs(p[name]["kernel"].std() / (2 / 400) ** 0.5 - 1) < 0.06
