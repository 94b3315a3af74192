"""Linear attention, Katharopoulos et al. 2020, arXiv:2006.16236, eq. 16 to 20."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase
from cases.models.reference import float64, rms_norm


def linear_attention(
    params: Any, xs: Any, starts: Any = None, state: Any = None, *, heads: int
) -> tuple[Any, Any]:
    """xs (T, in) -> ((S (H, K, V), z (H, K)), ys (T, in)); q, k, v are affine in x_t, per head.

    phi(a) = elu(a) + 1 = a + 1 if a > 0 else exp(a)
    S_t = S_{t-1} + phi(k_t) v_t^T
    z_t = z_{t-1} + phi(k_t)
    o_t = S_t^T phi(q_t) / (z_t . phi(q_t) + 1e-10),  y_t = o_t W_output, or RMSNorm(o_t) W_output (+ b)
    """
    p, xs = float64(params), float64(xs)
    K, V = (p[name]["kernel"].shape[1] // heads for name in ("key", "value"))
    S, z = (np.zeros((heads, K, V)), np.zeros((heads, K))) if state is None else map(float64, state)
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            S, z = np.zeros((heads, K, V)), np.zeros((heads, K))
        rows = (x @ p[n]["kernel"] + p[n].get("bias", 0.0) for n in ("query", "key", "value"))
        q, k, v = (row.reshape(heads, -1) for row in rows)
        q, k = (np.where(a > 0, a + 1, np.exp(np.minimum(a, 0))) for a in (q, k))
        S = S + k[:, :, None] * v[:, None, :]
        z = z + k
        o = np.einsum("hkv,hk->hv", S, q) / (np.sum(z * q, axis=-1, keepdims=True) + 1e-10)
        o = rms_norm(o.reshape(-1), p["norm"]["scale"]) if "norm" in p else o.reshape(-1)
        ys[t] = o @ p["output"]["kernel"] + p["output"].get("bias", 0.0)
    return (S, z), ys


def ys(params: Any, xs: Any, starts: Any) -> Any:
    return linear_attention(params, xs, starts, heads=2)[1]


CASES = [
    ModelCase("linear_attention", memcore.LinearAttention(6, heads=2, key_size=4), ys),
    ModelCase(
        "linear_attention_norm",
        memcore.LinearAttention(6, heads=2, key_size=4, norm=True, bias=True),
        ys,
        on_jax=False,
    ),
]
SHAPES = [
    ModelCase(
        "linear_attention", memcore.LinearAttention(6, heads=2, key_size=4, value_size=3), ys
    ),
]
WRONG = {
    "heads": (lambda: memcore.LinearAttention(10), r"^heads is 4, expected"),
    "key_size": (
        lambda: memcore.LinearAttention(8, key_size=0),
        r"^key_size is 0, expected None or a positive int",
    ),
}
