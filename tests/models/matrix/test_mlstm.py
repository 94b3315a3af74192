"""Promises of the mLSTM: memorax's layer, and gates that are exponential."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

import memcore
from conftest import Backend
from golden_vectors import load


def test_mlstm_golden(backend: Backend) -> None:
    """The layer of memorax, whose convolution reads across starts."""
    entry, a = load("memorax_mlstm")
    heads, width = 2, 6

    def gate(name: str) -> dict[str, Any]:
        """Their rows are (head, q k v, channel), ours (q k v, head, channel)."""
        kernel = a[f"param/{name}/kernel"].reshape(heads, 3, -1, heads)
        kernel = np.moveaxis(kernel, 1, 0).reshape(3 * width, heads)
        return {"kernel": kernel, "bias": a[f"param/{name}/bias"]}

    params = {
        "up": {"kernel": a["param/up_projection/kernel"]},
        "conv": {
            "kernel": a["param/causal_conv/kernel"][:, 0],
            "bias": a["param/causal_conv/bias"],
        },
        **{n: {"kernel": a[f"param/{n}/kernel"].mT} for n in ("query", "key", "value")},
        "input_gate": gate("i_gate"),
        "forget_gate": gate("f_gate"),
        "norm": {"scale": 1 + a["param/norm/weight"]},
        "skip": a["param/learnable_skip"],
        "down": {"kernel": a["param/output_projection/kernel"]},
    }
    model = memcore.MLSTM(width, heads=heads, expand=1, block_size=3)
    params = memcore.backend.tree_map(lambda x: np.asarray(x, "float32"), params)
    xs = np.asarray(a["in/x"], "float32")
    params, xs = backend.asarray((params, xs))
    for row in range(2):
        state = memcore.initial_state(model, params)
        borders = [0, *(t for t in np.flatnonzero(a["in/done"][row]) if t), 37]
        assert len(borders) > 3
        for begin, end in itertools.pairwise(borders):
            # There the memory begins afresh at a start, and the convolution goes on.
            state = {**state, "memory": memcore.initial_state(model, params)["memory"]}
            state, ys = model.apply(params, xs[row, begin:end, ...], state)
            want = a["out/y"][row, begin:end]
            atol = entry["tolerance"]["float32_impl"]
            np.testing.assert_allclose(np.asarray(ys), want, atol=atol)


def test_an_input_gate_that_is_far_larger_overwrites() -> None:
    """exp(60) of one write drowns those before it, without an overflow: the read is that value alone."""
    rng = np.random.default_rng(0)
    q, k, v = (rng.normal(size=(20, 1, 4)).astype("float32") for _ in range(3))
    gates = np.where(np.arange(20) == 12, 60.0, -2.0).astype("float32")[:, None]
    forget = np.zeros_like(gates)
    _, out = memcore.ops.mlstm(q, k, v, gates, forget)
    sign = np.sign(np.sum(q[12:] * k[12], axis=-1, keepdims=True))
    np.testing.assert_allclose(out[12:], sign * v[12], rtol=1e-4)


def test_it_begins_as_the_authors_code() -> None:
    p = memcore.MLSTM(64, heads=4).init(0, "float64")
    np.testing.assert_allclose(p["forget_gate"]["bias"], [3, 4, 5, 6])
    assert not p["input_gate"]["kernel"].any() and not p["forget_gate"]["kernel"].any()
    assert abs(p["up"]["kernel"].std() / (2 / (5 * 64)) ** 0.5 - 1) < 0.05
    assert abs(p["down"]["kernel"].std() / (2 / 8) - 1) < 0.05
    assert np.all(p["skip"] == 1) and np.all(p["norm"]["scale"] == 1)
