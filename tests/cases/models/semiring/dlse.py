"""The decaying log-sum-exp memory, as memax means it."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def dlse(params: Any, xs: Any, starts: Any = None, *, heads: int) -> Any:
    """xs (T, in) -> ys (T, in); k and v are elu + 1 of what is linear in x_t, q is linear.

    E = exp(S) itself: E_t = exp(g) E_{t-1} + exp(k v^T), 0 when empty;  S = log(E)
    o = S^T q / sqrt(sum S^2 + 1e-6),  y = o W_output
    """
    p, xs = float64(params), float64(xs)
    g = -np.exp(p["log_rate"])[:, :, None]
    V = p["value"]["kernel"].shape[1] // heads
    E, ys = np.zeros((*g.shape[:2], V)), np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    for t, x in enumerate(xs):
        E = np.zeros_like(E) if starts is not None and starts[t] else E
        q, k, v = ((x @ p[n]["kernel"]).reshape(heads, -1) for n in ("query", "key", "value"))
        k, v = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (k, v))
        E = np.exp(g) * E + np.exp(k[:, :, None] * v[:, None, :])
        S = np.log(E)
        o = np.einsum("hkv,hk->hv", S, q) / np.sqrt(np.sum(S * S, axis=(1, 2)) + 1e-6)[:, None]
        ys[t] = o.reshape(-1) @ p["output"]["kernel"]
    return ys


CASES = [
    ModelCase("dlse", memcore.DLSE(4, heads=2, key_size=3), lambda p, x, s: dlse(p, x, s, heads=2))
]
WRONG = {"heads": (lambda: memcore.DLSE(10), r"^heads is 4, expected a divisor")}
