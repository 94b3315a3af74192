"""Promises of LSTM alone: golden vectors, and the weights of torch as they stand there."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

import memcore
from cases.models.gated.torch_params import torch_params
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


def test_lstm_golden(backend: Backend, x64: None) -> None:
    _, a = load("lstm_torch")
    params = torch_params(lambda name: a[f"param/{name}"])
    model, start = memcore.LSTM(5, hidden_size=6), (a["init/h0"], a["init/c0"])
    for out, state in (("out", optree.tree_map(np.zeros_like, start)), ("out_init", start)):
        after, ys = model.apply(*backend.asarray((params, a["in/x"], state)))
        close(ys, a[f"{out}/y"])
        close(after, (a[f"{out}/h"], a[f"{out}/c"]))


@pytest.mark.backend("numpy")
@pytest.mark.requires("torch")
def test_lstm_takes_the_weights_of_torch(backend: Backend) -> None:
    import torch

    theirs = torch.nn.LSTM(3, 4, batch_first=True)
    params = torch_params(lambda name: getattr(theirs, name).detach().numpy())
    xs = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    with torch.no_grad():
        want, last = theirs(torch.tensor(xs))
    state, ys = memcore.LSTM(3, hidden_size=4).apply(params, xs)
    close(ys, want.numpy(), 1e-6)
    close(state, tuple(part[0].numpy() for part in last), 1e-6)
