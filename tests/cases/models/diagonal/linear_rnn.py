"""Gated impulse linear recurrence, Martin and Cundy 2017, arXiv:1709.04057."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64, sigmoid


def linear_rnn(params: Any, xs: Any, starts: Any = None) -> Any:
    """xs (T, in) -> ys (T, N): h = g h + (1 - g) tanh(V x + b), or h + V x + b where there is no gate."""
    p, xs = float64(params), float64(xs)
    h, ys = np.zeros(len(p["impulse"]["bias"])), []
    for t, x in enumerate(xs):
        h = np.zeros_like(h) if starts is not None and starts[t] else h
        impulse = x @ p["impulse"]["kernel"] + p["impulse"]["bias"]
        if "gate" in p:
            g = sigmoid(x @ p["gate"]["kernel"] + p["gate"]["bias"])
            h = g * h + (1 - g) * np.tanh(impulse)
        else:
            h = h + impulse
        ys.append(h)
    return np.stack(ys)


CASES = [
    ModelCase("linear_rnn", memcore.LinearRNN(4, hidden_size=5), linear_rnn),
    ModelCase(
        "linear_rnn_sum", memcore.LinearRNN(4, hidden_size=3, gates=False), linear_rnn, on_jax=False
    ),
]
