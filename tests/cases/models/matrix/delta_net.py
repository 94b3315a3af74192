"""DeltaNet, Yang et al. 2024, arXiv:2406.06484."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.matrix.gated_delta_net import delta_rule_step
from cases.models.reference import float64, rms_norm, sigmoid, silu


def delta_net(
    params: Any, xs: Any, starts: Any = None, *, heads: int, negative_eigenvalues: bool = False
) -> Any:
    """xs (T, in) -> ys (T, in).

    q_t = silu(sum_j kernel_j * (x_{t-W+1+j} W_query)), k_t and v_t likewise; zeros before a start
    q, k: a / sqrt(sum a^2 + 1e-6) per head;  beta = sigmoid(x W_beta), doubled for eigenvalues < 0
    the delta rule without decay, then y = RMSNorm(o) W_output, the norm over V
    """
    p, xs, names = float64(params), float64(xs), ("query", "key", "value")
    taps = {n: p[f"{n}_conv"]["kernel"] for n in names}  # (W, channels), the last for x_t
    zero = {n: np.zeros_like(taps[n][1:]) for n in names}
    sizes = [taps[n].shape[1] // heads for n in ("key", "value")]
    ys = np.zeros((len(xs), p["output"]["kernel"].shape[1]))
    S, before = np.zeros((heads, *sizes)), zero
    for t, x in enumerate(xs):
        if starts is not None and starts[t]:
            S, before = np.zeros((heads, *sizes)), zero
        seen = {n: np.vstack([before[n], x @ p[n]["kernel"]]) for n in names}
        q, k, v = (silu(np.sum(taps[n] * seen[n], axis=0)).reshape(heads, -1) for n in names)
        q, k = (a / np.sqrt(np.sum(a * a, axis=-1, keepdims=True) + 1e-6) for a in (q, k))
        beta = sigmoid(x @ p["beta"]["kernel"]) * (2 if negative_eigenvalues else 1)
        S, o = delta_rule_step(S, q, k, v, beta, np.zeros(heads))
        ys[t] = rms_norm(o, p["norm"]["scale"]).reshape(-1) @ p["output"]["kernel"]
        before = {n: seen[n][1:] for n in names}
    return ys


def of(heads: int, negative: bool = False) -> Reference:
    return lambda p, x, s: delta_net(p, x, s, heads=heads, negative_eigenvalues=negative)


CASES = [
    ModelCase("delta_net", memcore.DeltaNet(6, heads=2, key_size=4, value_size=3), of(2)),
    ModelCase(
        "delta_net_negative",
        memcore.DeltaNet(6, heads=3, conv_size=3, negative_eigenvalues=True),
        of(3, negative=True),
        on_jax=False,
    ),
]
WRONG = {
    "heads": (lambda: memcore.DeltaNet(10), r"^heads is 4, expected a divisor"),
    "conv_size": (lambda: memcore.DeltaNet(8, conv_size=1), r"^conv_size is 1, expected an"),
    "negative_eigenvalues": (
        lambda: memcore.DeltaNet(8, negative_eigenvalues=2),
        r"^negative_eigenvalues is 2, expected True or False",
    ),
}
