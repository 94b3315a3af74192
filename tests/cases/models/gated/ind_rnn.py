"""Independently Recurrent Neural Network, Li et al. 2018, arXiv:1803.04831."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64


def ind_rnn(params: Any, xs: Any, starts: Any = None, horizon: int = 1024) -> Any:
    """xs (T, in) -> ys (T, N): h_t = relu(W x_t + b + u * h_{t-1}), |u| at most 2^(1 / horizon)."""
    p, xs = float64(params), float64(xs)
    bound = 2 ** (1 / horizon)
    h, ys = np.zeros(len(p["u"])), []
    for t, x in enumerate(xs):
        h = np.zeros_like(h) if starts is not None and starts[t] else h
        u = np.minimum(bound, np.maximum(-bound, p["u"]))
        h = np.maximum(0, x @ p["input"]["kernel"] + p["input"]["bias"] + u * h)
        ys.append(h)
    return np.stack(ys)


CASES = [
    ModelCase(
        "ind_rnn",
        memcore.IndRNN(4, hidden_size=5, horizon=2),
        lambda p, x, s: ind_rnn(p, x, s, horizon=2),
        NOT_ASSOCIATIVE,
    )
]
