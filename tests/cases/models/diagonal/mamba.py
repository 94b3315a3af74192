"""Mamba, Gu and Dao 2023, arXiv:2312.00752."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.diagonal.s6 import s6
from cases.models.reference import float64, silu


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


CASES = [
    ModelCase(
        "mamba",
        memcore.Mamba(4, state_size=3, expand=2, conv_size=3),
        lambda p, x, s: mamba(p, x, s)[1],
    ),
]
