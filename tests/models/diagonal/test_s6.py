"""S6 against golden vectors: the selective scan of another library."""

from __future__ import annotations

import numpy as np
import pytest

import memcore
from cases.checks import close
from conftest import Backend
from golden_vectors import load
from memcore.engine.call import Call
from memcore.engine.methods import recur
from memcore.engine.recurrence import Recurrence


@pytest.mark.parametrize("method", ["sequential", "associative", "chunked", "fused"])
def test_s6(method: str, backend: Backend, x64: None) -> None:
    """The recurrence of the selective scan, given its inputs; the gate is Mamba's."""
    entry, a = load("mamba_selective_scan")
    cell = memcore.S6(5, state_size=4, rank=5)
    inputs = {"x": a["in/u"], "r": a["in/dt_raw"], "b": a["in/Bm"], "c": a["in/Cm"]}
    inputs["a"] = -np.exp(a["param/A_log"]).T[None, None]
    steps = {"kernel": np.eye(5), "bias": a["param/dt_bias"]}
    params = {"d": a["param/Dskip"], "dt": steps}
    params, inputs = backend.asarray((params, inputs))
    for out, start in (("out", np.zeros((2, 5, 4))), ("out_init", a["init/h0"])):
        state = backend.asarray(np.swapaxes(start, 1, 2))
        call = Call(method=method, chunk_size=8)
        h, read = recur(Recurrence(cell, params, inputs, state, np.zeros((4, 5)), call, (2, 37)))
        y = np.asarray(cell.output(params, read, inputs))
        gated = y * a["in/z"] / (1 + np.exp(-a["in/z"]))
        close(
            (np.swapaxes(np.asarray(h), 1, 2), gated),
            (a[f"{out}/h"], a[f"{out}/y"]),
            entry["tolerance"]["float64_impl"],
        )
