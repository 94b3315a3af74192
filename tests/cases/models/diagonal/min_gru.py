"""minGRU, Feng et al. 2024, arXiv:2410.01201."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64, sigmoid


def positive(x: Any) -> Any:
    return np.where(x >= 0, x + 0.5, sigmoid(x))


def min_gru(params: Any, xs: Any, starts: Any = None) -> Any:
    """xs (T, in) -> ys (T, N): h = (1 - z) h + z g(W_h x), z = sigmoid(W_z x)."""
    p, xs = float64(params), float64(xs)
    h, ys = np.zeros(p["update"]["kernel"].shape[1]), []
    for t, x in enumerate(xs):
        h = np.zeros_like(h) if starts is not None and starts[t] else h
        z = sigmoid(x @ p["update"]["kernel"])
        h = (1 - z) * h + z * positive(x @ p["candidate"]["kernel"])
        ys.append(h)
    return np.stack(ys)


CASES = [ModelCase("min_gru", memcore.MinGRU(4, hidden_size=5), min_gru)]
