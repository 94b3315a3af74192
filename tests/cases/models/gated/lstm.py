"""Long Short-Term Memory, Hochreiter and Schmidhuber 1997, in the form of torch.nn.LSTM."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.gated.gru import blocks
from cases.models.reference import float64, sigmoid


def lstm(
    params: Any, xs: Any, starts: Any = None, state: Any = None, drop: Any = 1.0
) -> tuple[Any, Any]:
    """xs (T, in) -> ((h (N,), c (N,)), ys (T, N)); gates in the order i, f, g, o along the 4N axis.

    i, f, o = sigmoid(W x + b + U h + c), g = tanh(W_g x + b_g + U_g h + c_g)
    c_t = f * c_{t-1} + i * g,  h_t = o * tanh(c_t),  y_t = h_t
    Where drop (T, N) is given, g is multiplied by it (arXiv:1603.05118).
    """
    p, xs = float64(params), float64(xs)
    size = p["hidden"]["kernel"].shape[0]
    drop = np.broadcast_to(drop, (len(xs), size))
    h, c = np.zeros((2, size)) if state is None else float64(state)
    ys = np.zeros((len(xs), size))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h, c = np.zeros((2, size))
        gates = x @ p["input"]["kernel"] + p["input"]["bias"]
        i, f, g, o = np.split(gates + h @ p["hidden"]["kernel"] + p["hidden"]["bias"], 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g) * drop[t]
        h = sigmoid(o) * np.tanh(c)
        ys[t] = h
    return (h, c), ys


def ys(params: Any, xs: Any, starts: Any) -> Any:
    return lstm(params, xs, starts)[1]


CASES = [
    ModelCase("lstm", memcore.LSTM(4, hidden_size=5), ys, NOT_ASSOCIATIVE),
    ModelCase(
        "lstm_heads",
        memcore.LSTM(4, hidden_size=6, heads=2),
        lambda p, x, s: ys(blocks(p, 2), x, s),
        NOT_ASSOCIATIVE,
        on_jax=False,
    ),
]
SHAPES = [ModelCase("lstm", memcore.LSTM(4, hidden_size=6), ys)]
