"""The sLSTM, Beck et al. 2024, arXiv:2405.04517."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64, sigmoid


def slstm(params: Any, xs: Any, starts: Any = None, heads: int = 1) -> Any:
    """xs (T, in) -> ys (T, N), without a stabiliser; gates in the order i, f, z, o.

    c' = sigmoid(f) c + exp(i) tanh(z), n' = sigmoid(f) n + exp(i), h' = sigmoid(o) c' / n'
    """
    p, xs = float64(params), float64(xs)
    size = len(p["input"]["bias"]) // 4
    blocks = p["hidden"]["kernel"].reshape(heads, size // heads, 4, size // heads)
    h, c, n = np.zeros((3, size))
    ys = np.zeros((len(xs), size))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h, c, n = np.zeros((3, size))
        own = np.einsum("kd,kdge->gke", h.reshape(heads, -1), blocks).reshape(4, size)
        i, f, z, o = np.split(x @ p["input"]["kernel"] + p["input"]["bias"], 4) + own
        c = sigmoid(f) * c + np.exp(i) * np.tanh(z)
        n = sigmoid(f) * n + np.exp(i)
        h = sigmoid(o) * c / n
        ys[t] = h
    return ys


CASES = [
    ModelCase(
        "slstm",
        memcore.SLSTM(3, hidden_size=6, heads=2),
        lambda p, x, s: slstm(p, x, s, heads=2),
        NOT_ASSOCIATIVE,
        given=("input/bias",),
    )
]
WRONG = {
    "heads": (lambda: memcore.SLSTM(4, hidden_size=6, heads=4), r"^heads is 4, expected a divisor"),
}
