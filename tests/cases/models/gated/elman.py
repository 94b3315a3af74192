"""The simple recurrent network, Elman 1990."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64


def elman(params: Any, xs: Any, starts: Any = None, f: Any = np.tanh, heads: int = 1) -> Any:
    """xs (T, in) -> ys (T, N): h_t = f(W x_t + b + U h_{t-1}), U one block per head."""
    p, xs = float64(params), float64(xs)
    blocks = p["hidden"]["kernel"].reshape(heads, -1, p["hidden"]["kernel"].shape[-1])
    h, ys = np.zeros(len(p["input"]["bias"])), []
    for t, x in enumerate(xs):
        h = np.zeros_like(h) if starts is not None and starts[t] else h
        own = [part @ block for part, block in zip(np.split(h, heads), blocks, strict=True)]
        h = f(x @ p["input"]["kernel"] + p["input"]["bias"] + np.concatenate(own))
        ys.append(h)
    return np.stack(ys)


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


CASES = [
    ModelCase("elman", memcore.Elman(4, hidden_size=5), elman, NOT_ASSOCIATIVE),
    ModelCase(
        "elman_relu_heads",
        memcore.Elman(3, hidden_size=6, activation="relu", heads=2),
        lambda p, x, s: elman(p, x, s, relu, heads=2),
        NOT_ASSOCIATIVE,
        on_jax=False,
    ),
]
WRONG = {
    "heads": (lambda: memcore.Elman(4, hidden_size=6, heads=4), r"^heads is 4, expected a divisor"),
    "activation": (lambda: memcore.Elman(4, activation="elu"), r"^activation is 'elu', expected"),
}
