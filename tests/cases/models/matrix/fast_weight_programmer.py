"""The additive fast weight programmer, Irie and Gershman 2025, arXiv:2508.08435."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64


def fast_weight_programmer(
    params: Any, xs: Any, starts: Any = None, state: Any = None, *, heads: int
) -> tuple[Any, Any]:
    """xs (T, in) -> (W (H, V, K), ys (T, in)); q, k, v are linear in x_t, per head.

    W_t = W_{t-1} + v_t phi(k_t)^T,  o_t = W_t phi(q_t),  y_t = o_t W_output;  phi = elu + 1
    """
    p, xs = float64(params), float64(xs)
    K, V = (p[name]["kernel"].shape[1] // heads for name in ("key", "value"))
    W = np.zeros((heads, V, K)) if state is None else float64(state)
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            W = np.zeros((heads, V, K))
        q, k, v = ((x @ p[n]["kernel"]).reshape(heads, -1) for n in ("query", "key", "value"))
        q, k = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (q, k))
        W = W + np.einsum("hv,hk->hvk", v, k)
        ys[t] = np.einsum("hvk,hk->hv", W, q).reshape(-1) @ p["output"]["kernel"]
    return W, ys


CASES = [
    ModelCase(
        "fast_weight_programmer",
        memcore.FastWeightProgrammer(6, heads=2, key_size=4),
        lambda p, x, s: fast_weight_programmer(p, x, s, heads=2)[1],
    )
]
WRONG = {
    "heads": (lambda: memcore.FastWeightProgrammer(10), r"^heads is 4, expected"),
    "value_size": (
        lambda: memcore.FastWeightProgrammer(8, value_size=0),
        r"^value_size is 0, expected None or a positive int",
    ),
}
