"""NMax: a running maximum, normalised, as in memax."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def n_max(params: Any, xs: Any, starts: Any = None, state: Any = None) -> tuple[Any, Any]:
    """xs (T, N) -> (h (N,), ys (T, N)): h = max(|d| h, x) from 0;  y = h / sum(h), 0 if that is 0."""
    d, xs = np.abs(float64(params)["decay"]), float64(xs)
    h, ys = np.zeros(xs.shape[1]) if state is None else float64(state), np.zeros_like(xs)
    for t, x in enumerate(xs):
        h = np.zeros_like(h) if starts is not None and starts[t] else h
        h = np.maximum(d * h, x)
        ys[t] = h / h.sum() if h.sum() > 0 else 0
    return h, ys


CASES = [ModelCase("n_max", memcore.NMax(5), lambda p, x, s: n_max(p, x, s)[1])]
