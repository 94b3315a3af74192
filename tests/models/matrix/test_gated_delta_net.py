"""Promises of Gated DeltaNet alone: a layer of Qwen3-Next, and the paper's beginning."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

import memcore
from conftest import Backend
from golden_vectors import load


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


def test_gated_delta_net_golden(backend: Backend, x64: None) -> None:
    """The Qwen3-Next layer: its 2 key heads serve 2 value heads each, so they are written twice."""
    _, a = load("hf_qwen3next_gated_deltanet")
    groups, r, K, V = 2, 2, 4, 3

    def kernel(part: np.ndarray, repeats: int = 1) -> dict[str, np.ndarray]:
        part = np.repeat(part.reshape(len(part), groups, -1), repeats, axis=1)
        return {"kernel": part.reshape(len(part), -1)}

    mixed = a["param/in_proj_qkvz.weight"].T.reshape(6, groups, -1)
    q, k, v, z = np.split(mixed, np.cumsum([K, K, r * V]), axis=-1)
    b, decay = np.split(a["param/in_proj_ba.weight"].T.reshape(6, groups, -1), 2, axis=-1)
    taps = np.split(a["param/conv1d.weight"][:, 0].T, [groups * K, 2 * groups * K], axis=1)
    params = {
        "query": kernel(q, r),
        "key": kernel(k, r),
        "value": kernel(v),
        "gate": kernel(z),
        "beta": kernel(b),
        "decay": kernel(decay),
        "query_conv": kernel(taps[0], r),
        "key_conv": kernel(taps[1], r),
        "value_conv": kernel(taps[2]),
        "A_log": a["param/A_log"],
        "dt_bias": a["param/dt_bias"],
        "norm": {"scale": a["param/norm.weight"]},
        "output": {"kernel": a["param/out_proj.weight"].T},
    }
    model = memcore.GatedDeltaNet(6, heads=4, key_size=4, value_size=3, conv_size=4)
    assert optree.tree_structure(params) == optree.tree_structure(model.init(0))
    close(model.apply(*backend.asarray((params, a["in/x"])))[1], a["out/y"])


def test_gated_delta_net_begins_as_in_the_paper() -> None:
    model = memcore.GatedDeltaNet(8, heads=1000, key_size=1, value_size=1)
    p = model.init(0, "float64")
    dt = np.logaddexp(0, p["dt_bias"])
    assert np.all(dt >= 1e-3 * 0.999) and np.all(dt <= 1e-1 * 1.001)
    a = np.exp(p["A_log"])
    assert np.all(a >= 1) and np.all(a <= 16) and a.std() > 3
    assert np.abs(np.median(np.log(dt)) - np.log(1e-2)) < 0.3
    assert np.all(p["norm"]["scale"] == 1)
