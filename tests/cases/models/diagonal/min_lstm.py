"""minLSTM, Feng et al. 2024, arXiv:2410.01201."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.diagonal.min_gru import positive
from cases.models.reference import float64, sigmoid


def min_lstm(params: Any, xs: Any, starts: Any = None) -> Any:
    """xs (T, in) -> ys (T, N): h = f / (f + i) h + i / (f + i) g(W_h x)."""
    p, xs = float64(params), float64(xs)
    h, ys = np.zeros(p["forget"]["kernel"].shape[1]), []
    for t, x in enumerate(xs):
        h = np.zeros_like(h) if starts is not None and starts[t] else h
        f, i = sigmoid(x @ p["forget"]["kernel"]), sigmoid(x @ p["input"]["kernel"])
        h = (f * h + i * positive(x @ p["candidate"]["kernel"])) / (f + i)
        ys.append(h)
    return np.stack(ys)


CASES = [ModelCase("min_lstm", memcore.MinLSTM(4, hidden_size=5), min_lstm)]
