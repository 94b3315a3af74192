"""TTT-Linear against golden vectors of another library."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from golden_vectors import load
from memcore.engine.call import Call
from memcore.engine.methods import recur
from memcore.engine.recurrence import Recurrence


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
