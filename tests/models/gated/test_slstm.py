"""sLSTM: golden vectors of the authors' code, gates far beyond what exp can hold, and its beginning."""

from __future__ import annotations

from typing import Any

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, atol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=atol)


def test_slstm_golden(backend: Backend, x64: None) -> None:
    """Its inputs are pre-activations, so the kernel is the identity; the gates stand in the same order."""
    _, a = load("slstm")
    params = {
        "input": {"kernel": np.eye(32), "bias": a["param/b"]},
        "hidden": {"kernel": np.swapaxes(a["param/R"], 1, 2)},
    }
    model = memcore.SLSTM(32, hidden_size=8, heads=2)
    start = tuple(a[f"init/{n}0"] for n in "hcnm")
    for out, state in (("out", tuple(map(np.zeros_like, start))), ("out_init", start)):
        last, ys = model.apply(*backend.asarray((params, a["in/Wx"], state)))
        close(ys, a[f"{out}/y"])
        for name, part in zip("hcnm", last, strict=True):
            close(part, a[f"{out}/{name}"])


def test_a_row_begins_by_itself(backend: Backend, x64: None) -> None:
    """Beside a row that goes on, a row that begins is what it is alone; m of its first step is i, below 0."""
    model = memcore.SLSTM(3, hidden_size=4, heads=2)
    params = model.init(0, "float64")
    params["input"]["bias"][:4] = -50
    xs = np.random.default_rng(0).normal(size=(2, 6, 3))
    starts = np.zeros((2, 6), bool)
    starts[1, 3] = True
    params, xs, starts = backend.asarray((params, xs, starts))
    _, packed = model.apply(params, xs, starts=starts)
    _, alone = model.apply(params, xs[1, 3:, :])
    close(packed[1, 3:, :], np.asarray(alone))


def test_a_far_larger_input_gate_overwrites() -> None:
    model = memcore.SLSTM(8, hidden_size=2, heads=1)
    params = model.init(0, "float64")
    params["input"] = {"kernel": np.eye(8), "bias": np.zeros(8)}
    xs = np.zeros((12, 8))
    xs[:, 4:6] = np.random.default_rng(0).normal(size=(12, 2))  # z
    xs[5, :2] = 5000.0  # i
    ys = model.apply(params, xs)[1]
    assert np.all(np.isfinite(ys))
    close(ys[5:], np.broadcast_to(0.5 * np.tanh(xs[5, 4:6]), (7, 2)))


def test_it_begins_as_the_authors_code() -> None:
    p = memcore.SLSTM(100, hidden_size=80, heads=4).init(0, "float64")
    assert not p["hidden"]["kernel"].any()
    i, f, z, o = np.split(p["input"]["bias"], 4)
    assert not i.any() and not z.any() and not o.any()
    close(f.reshape(4, 20), np.broadcast_to(5 - 12 * (np.arange(20) / 19) ** 0.3, (4, 20)))
    assert abs(p["input"]["kernel"].std() / (2 / 500) ** 0.5 - 1) < 0.02
