"""Mamba against golden vectors: the weights of another library, as they stand there."""

from __future__ import annotations

import pytest

import memcore
from cases.checks import close
from conftest import Backend
from golden_vectors import load


@pytest.mark.parametrize("method", ["sequential", "fused"])
def test_mamba(method: str, backend: Backend, x64: None) -> None:
    entry, a = load("hf_mamba_mixer")
    weight = {
        name: a[f"param/{name}.weight"] for name in ("in_proj", "x_proj", "dt_proj", "out_proj")
    }
    params = {
        "input": {"kernel": weight["in_proj"].T},
        "conv": {
            "kernel": a["param/conv1d.weight"][:, 0].T,
            "bias": a["param/conv1d.bias"],
        },
        "ssm": {
            "projection": {"kernel": weight["x_proj"].T},
            "dt": {"kernel": weight["dt_proj"].T, "bias": a["param/dt_proj.bias"]},
            "A_log": a["param/A_log"],
            "d": a["param/D"],
        },
        "output": {"kernel": weight["out_proj"].T},
    }
    model = memcore.Mamba(6, state_size=4, rank=3)
    params, xs = backend.asarray((params, a["in/x"]))
    _, ys = model.apply(params, xs, method=method)
    close(ys, a["out/y"], entry["tolerance"]["float64_impl"])
