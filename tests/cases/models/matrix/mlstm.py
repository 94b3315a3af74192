"""mLSTM, Beck et al. 2024, arXiv:2405.04517, eq. 19 to 27 and figure 10."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import float64, silu, softplus


def mlstm(params: Any, xs: Any, starts: Any = None, *, heads: int) -> Any:
    """xs (T, in) -> ys (T, in); C and n are divided by exp(m).

    m_t = max(log f + m_{t-1}, i~);  C_t, n_t = exp(log f + m_{t-1} - m_t) (C, n) + exp(i~ - m_t) (k v^T, k)
    h = C_t^T q / (max(|n_t . q|, exp(-m_t)) + 1e-6)
    k is divided by sqrt(D);  y = ((LN(h) + skip * c) * silu(z)) W_down
    """
    p, xs = float64(params), float64(xs)
    taps, inner = p["conv"]["kernel"], p["skip"].shape[0]
    D = inner // heads
    zero = (
        np.zeros((heads, D, D)),
        np.zeros((heads, D)),
        np.zeros((heads, 1)),
        np.zeros_like(taps[1:]),
    )
    (C, n, m, before), ys = zero, np.zeros((len(xs), p["down"]["kernel"].shape[1]))
    for t, u in enumerate(xs):
        if starts is not None and starts[t]:
            C, n, m, before = zero
        x, z = np.split(u @ p["up"]["kernel"], 2)
        seen = np.vstack([before, x])
        c = silu(np.sum(taps * seen, axis=0) + p["conv"]["bias"])
        pairs = (("query", c), ("key", c), ("value", x))
        qkv = [
            np.concatenate([b @ w for b, w in zip(np.split(a, len(W)), W, strict=True)])
            for W, a in ((p[name]["kernel"], a) for name, a in pairs)
        ]
        i, f = (
            np.concatenate(qkv) @ p[name]["kernel"] + p[name]["bias"]
            for name in ("input_gate", "forget_gate")
        )
        i, log_f, (q, k, v) = i[:, None], -softplus(-f)[:, None], (a.reshape(heads, D) for a in qkv)
        last, m = m, np.maximum(log_f + m, i)
        f, i, k = np.exp(log_f + last - m), np.exp(i - m), k * D**-0.5
        C = f[:, :, None] * C + i[:, :, None] * k[:, :, None] * v[:, None, :]
        n = f * n + i * k
        size = np.maximum(np.abs(np.sum(n * q, axis=-1, keepdims=True)), np.exp(-m)) + 1e-6
        h = np.einsum("hkv,hk->hv", C, q) / size
        h = (h - h.mean(-1, keepdims=True)) / np.sqrt(h.var(-1, keepdims=True) + 1e-5)
        h = (h * p["norm"]["scale"]).reshape(-1) + p["skip"] * c
        ys[t], before = (h * silu(z)) @ p["down"]["kernel"], seen[1:]
    return ys


def of(heads: int) -> Reference:
    return lambda p, x, s: mlstm(p, x, s, heads=heads)


GIVEN = ("forget_gate/bias",)
CASES = [
    ModelCase("mlstm", memcore.MLSTM(4, heads=2), of(2), given=GIVEN),
    ModelCase(
        "mlstm_blocks",
        memcore.MLSTM(6, heads=3, expand=1, conv_size=2, block_size=3),
        of(3),
        given=GIVEN,
        on_jax=False,
    ),
]
WRONG = {
    "heads": (
        lambda: memcore.MLSTM(5),
        r"^heads is 4, expected a divisor of 10, which is expand 2",
    ),
    "block_size": (
        lambda: memcore.MLSTM(5, heads=5),
        r"^block_size is 4, expected a divisor of 10, which is expand 2 times in_features 5",
    ),
}
