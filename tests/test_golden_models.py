"""Models against golden vectors: the weights of other libraries, as they stand there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from golden_vectors import load
from memcore.engine.call import Call
from memcore.engine.methods import recur
from memcore.engine.recurrence import Recurrence
from op_cases.checks import close


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


@pytest.mark.parametrize("method", ["sequential", "associative", "chunked", "fused"])
def test_s6(method: str, backend: Backend, x64: None) -> None:
    """The recurrence of the selective scan, given its inputs; the gate is Mamba's."""
    entry, a = load("mamba_selective_scan")
    cell = memcore.S6(5, state_size=4)
    dt = np.logaddexp(0, a["in/dt_raw"] + a["param/dt_bias"])
    inputs = {"x": a["in/u"], "dt": dt, "b": a["in/Bm"], "c": a["in/Cm"]}
    params, inputs = backend.asarray(({"A_log": a["param/A_log"], "d": a["param/Dskip"]}, inputs))
    for out, start in (("out", np.zeros((2, 5, 4))), ("out_init", a["init/h0"])):
        state = backend.asarray(start)
        call = Call(method=method, chunk_size=8)
        h, read = recur(Recurrence(cell, params, inputs, state, np.zeros((5, 4)), call, (2, 37)))
        y = np.asarray(cell.output(params, read, inputs))
        gated = y * a["in/z"] / (1 + np.exp(-a["in/z"]))
        close(
            (np.asarray(h), gated),
            (a[f"{out}/h"], a[f"{out}/y"]),
            entry["tolerance"]["float64_impl"],
        )


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("size", [1, 4])
def test_ttt_linear(size: int, method: str, backend: Backend, x64: None) -> None:
    """Cut anywhere: inside a mini-batch the sums and the last rate are state."""
    entry, a = load(f"ttt_linear_mb{size}")
    cell = memcore.TTTLinear(16, heads=2, mini_batch=size)
    params = backend.asarray({"norm": {"scale": a["in/w"], "bias": a["in/b_ln"]}})
    length = a["in/q"].shape[1]
    whole = {"q": a["in/q"] * 8**-0.5, "k": a["in/k"], "v": a["in/v"], "rate": a["in/eta"][..., 0]}
    for out, weights in (("out", "param"), ("out_init", "init")):
        begin = {
            "weight": a[f"{weights}/W0"],
            "bias": a[f"{weights}/c0"][..., 0, :],
            "weight_sum": np.zeros((2, 2, 8, 8)),
            "bias_sum": np.zeros((2, 2, 8)),
            "rate": np.zeros((2, 2)),
        }
        for cut in (length, 1, 6, 13):
            state, outs = backend.asarray(begin), []
            for start, stop in ((0, cut), (cut, length)):
                if start == stop:
                    continue
                inputs = backend.asarray({n: x[:, start:stop] for n, x in whole.items()})
                phase = backend.xp.asarray(start % size, dtype=backend.xp.int32)
                call = Call(method=method, phase=phase if size > 1 else None)
                shape = (2, stop - start)
                job: Any = Recurrence(cell, params, inputs, state, begin, call, shape)
                state, o = recur(job)
                outs.append(np.asarray(o))
            got = (
                np.concatenate(outs, axis=1),
                np.asarray(state["weight"]),
                np.asarray(state["bias"]),
            )
            want = (a[f"{out}/o"], a[f"{out}/W"], a[f"{out}/c"][..., 0, :])
            close(got, want, entry["tolerance"]["float64_impl"])
