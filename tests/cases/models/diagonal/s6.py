"""The selective state space model, Gu and Dao 2023, arXiv:2312.00752."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def s6(params: Any, xs: Any, starts: Any = None, state: Any = None) -> tuple[Any, Any]:
    """xs (T, D) -> (h (N, D), ys (T, D)); r, B, C side by side in the projection.

    dt = softplus(W_dt r + b);  h_n = exp(-dt exp(A_log_n)) h_n + dt B_n x;  y = sum_n C_n h_n + D x
    """
    p, xs = float64(params), float64(xs)
    (rank, width), n = p["dt"]["kernel"].shape, p["A_log"].shape[1]
    h = np.zeros((n, width)) if state is None else float64(state)
    ys = np.zeros_like(xs)
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h = np.zeros((n, width))
        r, b, c = np.split(x @ p["projection"]["kernel"], [rank, rank + n])
        dt = np.log1p(np.exp(r @ p["dt"]["kernel"] + p["dt"]["bias"]))
        for i in range(width):
            for j in range(n):
                h[j, i] = np.exp(-dt[i] * np.exp(p["A_log"][i, j])) * h[j, i] + dt[i] * b[j] * x[i]
        ys[t] = c @ h + p["d"] * x
    return h, ys


CASES = [
    ModelCase("s6", memcore.S6(5, state_size=3, rank=2), lambda p, x, s: s6(p, x, s)[1]),
]
