"""DeltaProduct, Siems et al. 2025, arXiv:2502.10297."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64, rms_norm, sigmoid, silu, softplus


def delta_product(
    params: Any, xs: Any, starts: Any = None, *, heads: int, writes: int, negative: bool = True
) -> Any:
    """xs (T, in) -> ys (T, in); n keys, values and betas per step, H heads.

    q_t = silu(sum_j kernel_j * (x_{t-W+1+j} W_query)), k_t and v_t likewise; zeros before a start
    S <- exp(g) S (if gated);  then n times S <- (I - beta k k^T) S + beta k v^T, explicit matrices
    y = RMSNorm(S^T q K^-0.5) (* silu(x W_gate)) W_output
    """
    p, xs, names = float64(params), float64(xs), ("query", "key", "value")
    taps = {n: p[f"{n}_conv"]["kernel"] for n in names}  # (W, channels), the last for x_t
    zero = {n: np.zeros_like(taps[n][1:]) for n in names}
    K, V = taps["query"].shape[1] // heads, taps["value"].shape[1] // heads // writes
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    S, before = np.zeros((heads, K, V)), zero
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            S, before = np.zeros((heads, K, V)), zero
        seen = {n: np.vstack([before[n], x @ p[n]["kernel"]]) for n in names}
        q, k, v = (silu(np.sum(taps[n] * seen[n], axis=0)) for n in names)
        q, k, v = q.reshape(heads, K), k.reshape(writes, heads, K), v.reshape(writes, heads, V)
        q, k = (a / np.sqrt(np.sum(a * a, axis=-1, keepdims=True) + 1e-6) for a in (q, k))
        beta = sigmoid(x @ p["beta"]["kernel"]).reshape(writes, heads) * (2 if negative else 1)
        if "decay" in p:
            g = -np.exp(p["A_log"]) * softplus(x @ p["decay"]["kernel"] + p["dt_bias"])
            S = np.exp(g)[:, None, None] * S
        for kj, vj, bj in zip(k, v, beta[..., None, None], strict=True):
            M = np.eye(K) - bj * kj[:, :, None] * kj[:, None, :]
            S = M @ S + bj * kj[:, :, None] * vj[:, None, :]
        o = rms_norm(np.einsum("hkv,hk->hv", S, q) * K**-0.5, p["norm"]["scale"]).reshape(-1)
        o = o * silu(x @ p["gate"]["kernel"]) if "gate" in p else o
        ys[t] = o @ p["output"]["kernel"]
        before = {n: seen[n][1:] for n in names}
    return ys


def of(heads: int, writes: int, negative: bool = True) -> Reference:
    how: dict[str, Any] = {"heads": heads, "writes": writes, "negative": negative}
    return lambda p, x, s: delta_product(p, x, s, **how)


CASES = [
    ModelCase(
        "delta_product", memcore.DeltaProduct(6, heads=2, key_size=4, value_size=3), of(2, 2)
    ),
    ModelCase(
        "delta_product_gated",
        memcore.DeltaProduct(6, heads=3, writes=3, conv_size=2, gated=True),
        of(3, 3),
        on_jax=False,
    ),
    ModelCase(
        "delta_product_positive",
        memcore.DeltaProduct(6, heads=1, writes=1, key_size=2, negative_eigenvalues=False),
        of(1, 1, False),
        on_jax=False,
    ),
]
WRONG = {
    "heads": (lambda: memcore.DeltaProduct(10), r"^heads is 4, expected a divisor"),
    "writes": (lambda: memcore.DeltaProduct(8, writes=0), r"^writes is 0, expected a positive int"),
}
