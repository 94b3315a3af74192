"""TTT-MLP against golden vectors, cut anywhere and with starts inside mini-batches."""

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

NAMES = ("w1", "b1", "w2", "b2")


def _weights(a: dict[str, np.ndarray], where: str) -> dict[str, np.ndarray]:
    """W1, b1, W2 and b2, the biases without their axis of length 1."""
    found = {n: a[f"{where}{n.upper() if n[0] == 'w' else n}"] for n in NAMES}
    return {n: x[..., 0, :] if n[0] == "b" else x for n, x in found.items()}


@pytest.mark.parametrize("method", ["sequential", "fused"])
@pytest.mark.parametrize("name", ["ttt_mlp_mb1", "ttt_mlp_mb4", "ttt_mlp_mb4_start"])
def test_golden(name: str, method: str, backend: Backend, x64: None) -> None:
    entry, a = load(name)
    size, length = 1 if name.endswith("mb1") else 4, a["in/q"].shape[1]
    cell = memcore.TTTMLP(16, heads=2, mini_batch=size)
    params = backend.asarray({"norm": {"scale": a["in/w"], "bias": a["in/b_ln"]}})
    whole = {"q": a["in/q"], "k": a["in/k"], "v": a["in/v"], "rate": a["in/eta"]}

    def begin(where: str) -> Any:
        weights = _weights(a, f"{where}/")
        sums = {n: np.zeros_like(w) for n, w in weights.items()}
        return backend.asarray({"weights": weights, "sums": sums, "rate": np.zeros((2, 2))})

    for out, where in (("out", "param"), ("out_init", "init")):
        for cut in (length, 1, 6, 13):
            state, outs = begin(where), []
            for first, stop in ((0, cut), (cut, length)):
                if first == stop:
                    continue
                inputs = backend.asarray({n: x[:, first:stop] for n, x in whole.items()})
                starts = a.get("in/start")
                starts = None if starts is None else backend.asarray(starts[:, first:stop])
                phase = backend.xp.asarray(first % size, dtype=backend.xp.int32)
                call = Call(starts, method=method, phase=phase if size > 1 else None)
                shape = (2, stop - first)
                job = Recurrence(cell, params, inputs, state, begin("param"), call, shape)
                state, o = recur(job)
                outs.append(np.asarray(o))
            got: Any = (np.concatenate(outs, axis=1), state["weights"])
            want: Any = (a[f"{out}/o"], _weights(a, f"{out}/"))
            if size > 1:
                got = (*got, state["sums"])
                sums = {n: a[f"{out}/G{n.upper() if n[0] == 'w' else n}"] for n in NAMES}
                sums = {n: x[..., 0, :] if n[0] == "b" else x for n, x in sums.items()}
                want = (*want, sums)
            close(got, want, entry["tolerance"]["float64_impl"])
