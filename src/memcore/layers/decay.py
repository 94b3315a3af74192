"""Decays as Mamba has them: ``log a = -exp(A_log) softplus(x + dt_bias)`` (arXiv:2312.00752)."""

from __future__ import annotations

import math

from memcore import nn
from memcore.backend import Draw, cast, namespace
from memcore.cell import Array, Params


def init_time_step(draw: Draw, shape: tuple[int, ...], low: float, high: float) -> Array:
    """``dt_bias``: softplus of it is uniform in its logarithm within ``[low, high)``."""
    log_dt = draw.uniform("dt_bias", shape, math.log(low), math.log(high), label="recurrence")
    xp = namespace(log_dt)
    return xp.log(xp.expm1(xp.exp(log_dt)))


def init_decay(draw: Draw, heads: int) -> Params:
    """``A_log (heads,)``, uniform in ``exp(A_log)`` within [1, 16), and ``dt_bias (heads,)``."""
    a = draw.uniform("A_log", (heads,), 1.0, 16.0, label="recurrence")
    return {
        "A_log": namespace(a).log(a),
        "dt_bias": init_time_step(draw, (heads,), 1e-3, 1e-1),
    }


def log_decay(params: Params, x: Array) -> Array:
    """The log decay of each head: ``(..., heads)``, not positive, in the dtype of ``x``."""
    a_log, dt_bias = (cast(params[n], x.dtype) for n in ("A_log", "dt_bias"))
    return -namespace(x).exp(a_log) * nn.softplus(x + dt_bias)
