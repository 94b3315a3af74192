"""Gated Recurrent Unit, Cho et al. 2014, arXiv:1406.1078, in the form of torch.nn.GRU."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.reference import float64, sigmoid


def gru(
    params: Any, xs: Any, starts: Any = None, state: Any = None, drop: Any = 1.0
) -> tuple[Any, Any]:
    """xs (T, in) -> (h (N,), ys (T, N)); gates in the order r, z, n along the 3N axis.

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)
    z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))       the reset gate acts after the product
    h_t = (1 - z) * n + z * h_{t-1},  y_t = h_t         z keeps the old state
    Where drop (T, N) is given, n is multiplied by it (arXiv:1603.05118).
    """
    p, xs = float64(params), float64(xs)
    size = p["hidden"]["kernel"].shape[0]
    drop = np.broadcast_to(drop, (len(xs), size))
    h = np.zeros(size) if state is None else float64(state)
    ys = np.zeros((len(xs), size))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h = np.zeros(size)
        ir, iz, i_n = np.split(x @ p["input"]["kernel"] + p["input"]["bias"], 3)
        hr, hz, hn = np.split(h @ p["hidden"]["kernel"] + p["hidden"]["bias"], 3)
        r, z = sigmoid(ir + hr), sigmoid(iz + hz)
        n = np.tanh(i_n + r * hn) * drop[t]
        h = (1 - z) * n + z * h
        ys[t] = h
    return h, ys


def ys(params: Any, xs: Any, starts: Any) -> Any:
    return gru(params, xs, starts)[1]


def before(
    params: Any, xs: Any, starts: Any = None, state: Any = None, drop: Any = 1.0
) -> tuple[Any, Any]:
    """As `gru`, but n = tanh(W_in x + b_in + W_hn (r * h)), and no bias in the recurrence."""
    p, xs = float64(params), float64(xs)
    ur, uz, un = np.split(p["hidden"]["kernel"], 3, axis=1)
    drop = np.broadcast_to(drop, (len(xs), len(ur)))
    h = np.zeros(len(ur)) if state is None else float64(state)
    ys = np.zeros((len(xs), len(ur)))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            h = np.zeros(len(ur))
        ir, iz, i_n = np.split(x @ p["input"]["kernel"] + p["input"]["bias"], 3)
        r, z = sigmoid(ir + h @ ur), sigmoid(iz + h @ uz)
        h = (1 - z) * np.tanh(i_n + (r * h) @ un) * drop[t] + z * h
        ys[t] = h
    return h, ys


def blocks(params: Any, heads: int) -> Any:
    """The same cell without heads: blocks (heads, n, gates n) as a kernel that is zero elsewhere."""
    kernel = float64(params["hidden"]["kernel"])
    gates = [
        [block[:, g * block.shape[0] : (g + 1) * block.shape[0]] for block in kernel]
        for g in range(kernel.shape[2] // kernel.shape[1])
    ]
    wide = [np.concatenate([np.pad(b, ((0, 0), (i * len(b), (heads - 1 - i) * len(b))))
            for i, b in enumerate(row)]) for row in gates]  # fmt: skip
    return {**params, "hidden": {**params["hidden"], "kernel": np.concatenate(wide, axis=1)}}


CASES = [
    ModelCase("gru", memcore.GRU(5, hidden_size=6), ys, NOT_ASSOCIATIVE),
    ModelCase(
        "gru_before",
        memcore.GRU(4, hidden_size=6, reset="before", heads=2),
        lambda p, x, s: before(blocks(p, 2), x, s)[1],
        NOT_ASSOCIATIVE,
    ),
    ModelCase(
        "gru_heads",
        memcore.GRU(4, hidden_size=6, heads=3),
        lambda p, x, s: ys(blocks(p, 3), x, s),
        NOT_ASSOCIATIVE,
        on_jax=False,
    ),
]
SHAPES = [ModelCase("gru", memcore.GRU(4, hidden_size=6), ys)]
WRONG = {
    "reset": (lambda: memcore.GRU(4, reset="never"), r"^reset is 'never', expected 'after'"),
    "heads": (lambda: memcore.GRU(4, hidden_size=6, heads=4), r"^heads is 4, expected a divisor"),
    "hidden_size": (lambda: memcore.GRU(4, hidden_size=2.5), r"^hidden_size is 2\.5, expected"),
}
