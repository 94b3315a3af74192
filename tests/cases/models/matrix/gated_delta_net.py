"""Gated DeltaNet, Yang et al. 2024, arXiv:2412.06464."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64, rms_norm, sigmoid, silu, softplus


def delta_rule_step(S: Any, q: Any, k: Any, v: Any, beta: Any, g: Any) -> tuple[Any, Any]:
    """One step of the gated delta rule: S (H, K, V), q, k (H, K), v (H, V), beta, g (H,) -> (S, o).

    S' = exp(g) S,  u = beta (v - S'^T k),  S = S' + k u^T,  o = S^T q K^-0.5
    """
    S = np.exp(g)[:, None, None] * S
    u = beta[:, None] * (v - np.einsum("hkv,hk->hv", S, k))
    S = S + k[:, :, None] * u[:, None, :]
    return S, np.einsum("hkv,hk->hv", S, q) * q.shape[-1] ** -0.5


def gated_delta_net(
    params: Any,
    xs: Any,
    starts: Any = None,
    state: Any = None,
    *,
    heads: int,
    negative_eigenvalues: bool = False,
) -> tuple[Any, Any]:
    """xs (T, in) -> ({"S": (H, K, V), "query_conv": (W-1, H*K), ...: the last inputs}, ys (T, in)).

    q_t = silu(sum_j kernel_j * (x_{t-W+1+j} W_query)), k_t and v_t likewise; zeros before a start
    q, k: a / sqrt(sum a^2 + 1e-6) per head;  beta = sigmoid(x W_beta), doubled for eigenvalues < 0
    g = -exp(A_log) softplus(x W_decay + dt_bias);  then `delta_rule_step`
    y = (RMSNorm(o) * silu(x W_gate)) W_output, the norm over V
    """
    p, xs = float64(params), float64(xs)
    names = ("query", "key", "value")
    taps = {n: p[f"{n}_conv"]["kernel"] for n in names}  # (W, channels), the last for x_t
    K, V = (taps[n].shape[1] // heads for n in ("key", "value"))
    zero = {f"{n}_conv": np.zeros_like(taps[n][1:]) for n in names}
    zero["S"] = np.zeros((heads, K, V))
    state = zero if state is None else float64(state)
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    for t, x in enumerate(xs):
        state = zero if starts is not None and starts[t] else state
        seen = {n: np.vstack([state[f"{n}_conv"], x @ p[n]["kernel"]]) for n in names}
        q, k, v = (silu(np.sum(taps[n] * seen[n], axis=0)).reshape(heads, -1) for n in names)
        q, k = (a / np.sqrt(np.sum(a * a, axis=-1, keepdims=True) + 1e-6) for a in (q, k))
        beta = sigmoid(x @ p["beta"]["kernel"]) * (2 if negative_eigenvalues else 1)
        g = -np.exp(p["A_log"]) * softplus(x @ p["decay"]["kernel"] + p["dt_bias"])
        S, o = delta_rule_step(state["S"], q, k, v, beta, g)
        gate = silu(x @ p["gate"]["kernel"])
        ys[t] = (rms_norm(o, p["norm"]["scale"]).reshape(-1) * gate) @ p["output"]["kernel"]
        state = {"S": S, **{f"{n}_conv": seen[n][1:] for n in names}}
    return state, ys


def of(heads: int, negative: bool = False) -> Reference:
    how = {"heads": heads, "negative_eigenvalues": negative}
    return lambda p, x, s: gated_delta_net(p, x, s, **how)[1]


def _shape(name: str, negative: bool) -> ModelCase:
    how = {"key_size": 4, "value_size": 2, "conv_size": 3, "negative_eigenvalues": negative}
    return ModelCase(name, memcore.GatedDeltaNet(6, heads=3, **how), of(3, negative))


CASES = [
    ModelCase(
        "gated_delta_net", memcore.GatedDeltaNet(6, heads=2, key_size=4, value_size=3), of(2)
    ),
    ModelCase(
        "gated_delta_net_negative",
        memcore.GatedDeltaNet(6, heads=3, negative_eigenvalues=True),
        of(3, negative=True),
        on_jax=False,
    ),
]
SHAPES = [_shape("gated_delta_net", False), _shape("gated_delta_net_negative", True)]
WRONG = {
    "heads": (lambda: memcore.GatedDeltaNet(10), r"^heads is 4, expected a divisor"),
    "value_size": (
        lambda: memcore.GatedDeltaNet(8, value_size="a"),
        r"^value_size is 'a', expected None or a positive int",
    ),
    "conv_size": (lambda: memcore.GatedDeltaNet(8, conv_size=1), r"^conv_size is 1, expected an"),
}
