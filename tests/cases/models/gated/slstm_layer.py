"""The layer around an sLSTM, Beck et al. 2024, arXiv:2405.04517, figure 9."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64, sigmoid, silu


def slstm_layer(params: Any, xs: Any, starts: Any = None, *, heads: int) -> Any:
    """xs (T, in) -> ys (T, in), without a stabiliser.

    u = silu(conv(x));  i, f read u;  z, o read x;  by blocks, and R h_{t-1} by heads
    c' = sigmoid(f) c + exp(i) tanh(z);  n' = sigmoid(f) n + exp(i);  h' = sigmoid(o) c' / n';  y = LN(h')
    """
    p, xs = float64(params), float64(xs)
    xs = xs @ p["up"]["kernel"] if "up" in p else xs
    taps, own = p["conv"]["kernel"], xs.shape[-1] // heads
    R = p["memory"]["hidden"]["kernel"].reshape(heads, own, 4, own)
    W = [p[name]["kernel"] for name in ("input_gate", "forget_gate", "candidate", "output_gate")]
    ys, (h, c, n), before = np.zeros_like(xs), np.zeros((3, heads, own)), 0 * taps[1:]
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            (h, c, n), before = np.zeros((3, heads, own)), 0 * taps[1:]
        seen = np.vstack([before, x])
        u = silu(np.sum(taps * seen, axis=0) + p["conv"]["bias"])
        pairs = zip((u, u, x, x), W, strict=True)
        gates = [np.einsum("hd,hde->he", a.reshape(heads, own), w) for a, w in pairs]
        bias = p["memory"]["bias"].reshape(4, heads, own)
        i, f, z, o = np.stack(gates) + np.einsum("hd,hdge->ghe", h, R) + bias
        c, n = sigmoid(f) * c + np.exp(i) * np.tanh(z), sigmoid(f) * n + np.exp(i)
        h = sigmoid(o) * c / n
        y = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        ys[t], before = (y * p["norm"]["scale"]).reshape(-1), seen[1:]
    return ys @ p["down"]["kernel"] if "down" in p else ys


def of(heads: int) -> Reference:
    return lambda p, x, s: slstm_layer(p, x, s, heads=heads)


GIVEN = ("memory/bias",)
CASES = [
    ModelCase("slstm_layer", memcore.SLSTMLayer(6, heads=2), of(2), given=GIVEN),
    ModelCase(
        "slstm_layer_inner",
        memcore.SLSTMLayer(3, heads=1, conv_size=2, inner=4),
        of(1),
        on_jax=False,
        given=GIVEN,
    ),
]
WRONG = {
    "heads": (
        lambda: memcore.SLSTMLayer(6),
        r"^heads is 4, expected a divisor of in_features 6",
    ),
    "heads of inner": (
        lambda: memcore.SLSTMLayer(8, inner=6),
        r"^heads is 4, expected a divisor of inner 6",
    ),
    "inner": (lambda: memcore.SLSTMLayer(8, inner=0), r"^inner is 0, expected None or a positive"),
}
