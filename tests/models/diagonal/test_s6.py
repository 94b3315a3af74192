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
