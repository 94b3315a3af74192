"""Promises of GRU alone: golden vectors, and the weights of torch as they stand there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from cases.models.gated.torch_params import torch_params
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


def test_gru_golden(backend: Backend, x64: None) -> None:
    _, a = load("gru_torch")
    params = torch_params(lambda name: a[f"param/{name}"])
    model = memcore.GRU(5, hidden_size=6)
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = model.apply(*backend.asarray((params, a["in/x"], start)))
        close(ys, a[f"{out}/y"])
        close(h, a[f"{out}/h"])


def before_params(w: Any, bias: Any) -> dict[str, Any]:
    """Where z stands for the new value its sign changes; gates in the order r, z, n."""
    signs = (("r", 1), ("z", -1), ("h", 1))
    return {
        "input": {
            "kernel": np.concatenate([sign * w(f"W{g}").T for g, sign in signs], axis=-1),
            "bias": np.concatenate([sign * bias(g) for g, sign in signs]),
        },
        "hidden": {"kernel": np.concatenate([s * w(f"U{g}").T for g, s in signs], axis=-1)},
    }


def test_gru_before_golden(backend: Backend, x64: None) -> None:
    _, a = load("gru_paper")
    params = before_params(lambda n: a[f"param/{n}"], lambda g: a[f"param/b{g}"])
    model = memcore.GRU(5, hidden_size=6, reset="before")
    for out, start in (("out", np.zeros_like(a["init/h0"])), ("out_init", a["init/h0"])):
        h, ys = model.apply(*backend.asarray((params, a["in/x"], start)))
        close(ys, a[f"{out}/y"])
        close(h, a[f"{out}/h"])


def test_gru_before_golden_of_memax(backend: Backend, x64: None) -> None:
    _, a = load("memax_gru")
    name = "param/algebra.algebra.{}_{}.weight"
    params = before_params(
        lambda n: a[name.format(*n)], lambda g: a[f"param/algebra.algebra.W_{g}.bias"]
    )
    params, xs, starts = backend.asarray((params, a["in/x"], a["in/start"]))
    h, ys = memcore.GRU(6, hidden_size=6, reset="before").apply(params, xs, starts=starts)
    close(ys, a["out/y"])
    close(h, a["out/h"])


@pytest.mark.backend("numpy")
@pytest.mark.requires("torch")
def test_gru_takes_the_weights_of_torch(backend: Backend) -> None:
    import torch

    theirs = torch.nn.GRU(3, 4, batch_first=True)
    params = torch_params(lambda name: getattr(theirs, name).detach().numpy())
    xs = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)
    with torch.no_grad():
        want, last = theirs(torch.tensor(xs))
    h, ys = memcore.GRU(3, hidden_size=4).apply(params, xs)
    close(ys, want.numpy(), 1e-6)
    close(h, last[0].numpy(), 1e-6)
