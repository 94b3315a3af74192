"""Weights of torch.nn against torch itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import memcore
from memcore.convert import SOURCES, from_weights

pytestmark = [pytest.mark.requires("torch"), pytest.mark.backend("numpy")]

NETWORKS = {
    f"{kind} of {layers} layers{', both ways' * both}{', no bias' * (not bias)}": (
        kind,
        {"num_layers": layers, "bidirectional": both, "bias": bias},
    )
    for kind in ("RNN", "GRU", "LSTM")
    for layers in (1, 3)
    for both in (False, True)
    for bias in (True, False)
}
CELLS = ("RNNCell", "GRUCell", "LSTMCell")


def test_every_source_is_here() -> None:
    known = {name for name in SOURCES if name.startswith("torch.")}
    assert known == {f"torch.nn.{kind}" for kind in ("RNN", "GRU", "LSTM", *CELLS)}


@pytest.fixture
def torch() -> Iterator[Any]:
    import torch

    torch.manual_seed(0)
    yield torch


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network(name: str, torch: Any) -> None:
    kind, how = NETWORKS[name]
    theirs = getattr(torch.nn, kind)(3, 4, batch_first=True, **how)
    model, params = from_weights(f"torch.nn.{kind}", theirs)
    assert isinstance(model, memcore.Stack) == (how["num_layers"] > 1)
    for length in (1, 23):
        xs = torch.randn(2, length, 3)
        with torch.no_grad():
            want = theirs(xs)[0].numpy()
        _, ys = model.apply(params, xs.numpy())
        np.testing.assert_allclose(ys, want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_cell(kind: str, bias: bool, torch: Any) -> None:
    theirs = getattr(torch.nn, kind)(3, 4, bias=bias).double()
    flat = {name: leaf.detach().numpy() for name, leaf in theirs.named_parameters()}
    model, params = from_weights(f"torch.nn.{kind}", flat)
    xs, h = torch.randn(2, 9, 3).double(), None
    _, ys = model.apply(params, xs.numpy())
    with torch.no_grad():
        for t in range(9):
            h = theirs(xs[:, t], h)
            want = h[0] if isinstance(h, tuple) else h
            np.testing.assert_allclose(ys[:, t], want.numpy(), rtol=0, atol=1e-12)


def test_a_module_tells_its_nonlinearity(torch: Any) -> None:
    theirs = torch.nn.RNN(3, 4, nonlinearity="relu", batch_first=True)
    model, params = from_weights("torch.nn.RNN", theirs)
    assert model == memcore.Elman(3, 4, activation="relu")
    assert from_weights("torch.nn.RNN", theirs.state_dict(), nonlinearity="relu")[0] == model
    xs = torch.randn(2, 9, 3)
    ys = model.apply(params, xs.numpy())[1]
    np.testing.assert_allclose(ys, theirs(xs)[0].detach().numpy(), rtol=0, atol=1e-5)


def test_what_the_library_has_and_memcore_has_not(torch: Any) -> None:
    with pytest.raises(ValueError, match=r"^weights has 'weight_hr_l0', which is left over"):
        from_weights("torch.nn.LSTM", torch.nn.LSTM(3, 4, proj_size=2))


def test_bfloat16_becomes_float32(torch: Any) -> None:
    params = from_weights("torch.nn.GRU", torch.nn.GRU(3, 4).to(torch.bfloat16))[1]
    assert params["input"]["kernel"].dtype == np.float32


def test_a_module_that_trains_on_changes_nothing(torch: Any) -> None:
    theirs, xs = torch.nn.GRU(3, 4), np.ones((5, 3), np.float32)
    model, params = from_weights("torch.nn.GRU", theirs)
    before = model.apply(params, xs)[1]
    with torch.no_grad():
        for leaf in theirs.parameters():
            leaf += 1
    np.testing.assert_array_equal(model.apply(params, xs)[1], before)


def test_a_tensor_is_no_weights(torch: Any) -> None:
    with pytest.raises(TypeError, match=r"^weights is tensor\(.*, expected arrays by name, or a m"):
        from_weights("torch.nn.GRU", torch.zeros(3))
