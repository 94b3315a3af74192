"""The selective state space model, and Mamba, Gu and Dao 2023, arXiv:2312.00752."""

from typing import Any

import numpy as np

from . import float64, silu


def s6(params: Any, xs: Any, starts: Any = None, state: Any = None) -> tuple[Any, Any]:
    """xs (T, D) -> (h (D, N), ys (T, D)); r, B, C side by side in the projection.

    dt = softplus(W_dt r + b);  h_n = exp(-dt exp(A_log_n)) h_n + dt B_n x;  y = sum_n C_n h_n + D x
    """
    p, xs = float64(params), float64(xs)
    (rank, width), n = p["dt"]["kernel"].shape, p["A_log"].shape[1]
    h = np.zeros((width, n)) if state is None else float64(state)
    ys = np.zeros_like(xs)
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h = np.zeros((width, n))
        r, b, c = np.split(x @ p["projection"]["kernel"], [rank, rank + n])
        dt = np.log1p(np.exp(r @ p["dt"]["kernel"] + p["dt"]["bias"]))
        for i in range(width):
            for j in range(n):
                h[i, j] = np.exp(-dt[i] * np.exp(p["A_log"][i, j])) * h[i, j] + dt[i] * b[j] * x[i]
        ys[t] = h @ c + p["d"] * x
    return h, ys


def mamba(params: Any, xs: Any, starts: Any = None) -> tuple[Any, Any]:
    """xs (T, D) -> (h (I, N), ys (T, D)); the convolution sees its own sequence alone.

    x, z = W_in u;  x = silu(b + sum_j w_j x_{t-W+1+j});  y = W_out (S6(x) * silu(z))
    """
    p, xs = float64(params), float64(xs)
    taps = p["conv"]["kernel"]
    x, z = np.split(xs @ p["input"]["kernel"], 2, axis=1)
    begins = 0
    u = np.zeros_like(x)
    for t in range(len(x)):
        begins = t if starts is not None and starts[t] else begins
        for j in range(len(taps)):
            at = t - len(taps) + 1 + j
            u[t] += taps[j] * x[at] if at >= begins else 0
    h, ys = s6(p["ssm"], silu(u + p["conv"]["bias"]), starts)
    return h, (ys * silu(z)) @ p["output"]["kernel"]
