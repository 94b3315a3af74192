"""Minimal Gated Unit, Zhou et al. 2016, arXiv:1603.09420."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64, sigmoid


def mgu(params: Any, xs: Any, starts: Any = None, state: Any = None) -> tuple[Any, Any]:
    """xs (T, in) -> (h (N,), ys (T, N)); f, then n, along the 2N axis.

    f = sigmoid(W_f x + b_f + U_f h), n = tanh(W_n x + b_n + U_n (f * h)), h' = (1 - f) * h + f * n
    """
    p, xs = float64(params), float64(xs)
    wf, wn = np.split(p["input"]["kernel"], 2, axis=1)
    uf, un = np.split(p["hidden"]["kernel"], 2, axis=1)
    bf, bn = np.split(p["input"]["bias"], 2)
    h = np.zeros(len(bf)) if state is None else float64(state)
    ys = np.zeros((len(xs), len(bf)))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h = np.zeros(len(bf))
        f = sigmoid(x @ wf + bf + h @ uf)
        h = (1 - f) * h + f * np.tanh(x @ wn + bn + (f * h) @ un)
        ys[t] = h
    return h, ys


CASES = [
    ModelCase(
        "mgu", memcore.MGU(4, hidden_size=5), lambda p, x, s: mgu(p, x, s)[1], NOT_ASSOCIATIVE
    )
]
