"""The mLSTM, from the equations of arXiv:2405.04517 without a stabiliser."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    HEADED,
    HEADS,
    KEYS,
    VALUES,
    B,
    Op,
    Q,
    Rule,
    V,
    heads,
    normal,
)
from memcore import ops
from memcore.ops.matrix.mlstm import MLSTMRule

EPS = 1e-3
NAMES = {"q": "q", "k": "k", "v": "v", "i": "log_input", "g": "log_forget"}


def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    i, g = normal(rng, length, HEADS), -np.abs(normal(rng, length, HEADS))
    return {**heads(rng, length), "i": 2 * i, "g": g}


def state(rng: np.random.Generator) -> Any:
    return normal(rng, HEADS, KEYS, VALUES), normal(rng, HEADS, KEYS), normal(rng, HEADS)


def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
    S, z, m = h
    C, n = S * np.exp(m)[:, None, None], z * np.exp(m)[:, None]
    f, i = np.exp(u["g"]), np.exp(u["i"])
    C = f[:, None, None] * C + i[:, None, None] * np.einsum("hk,hv->hkv", u["k"], u["v"])
    n = f[:, None] * n + i[:, None] * u["k"]
    m = np.maximum(u["g"] + m, u["i"])  # the units in which the state is told and EPS added
    norm = np.maximum(np.abs(np.einsum("hk,hk->h", n, 0.5 * u["q"])), 1) + EPS * np.exp(m)
    out = np.einsum("hkv,hk->hv", C, 0.5 * u["q"]) / norm[:, None]
    return (C * np.exp(-m)[:, None, None], n * np.exp(-m)[:, None], m), out


def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
    how = {"scale": 0.5, "eps": EPS, **how}
    return ops.mlstm(x["q"], x["k"], x["v"], x["i"], x["g"], state, **how)


def rule(x: Any) -> tuple[Any, Any]:
    return MLSTMRule(scale=0.5, eps=EPS), {NAMES[n]: array for n, array in x.items()}


S, Z, M = np.zeros((HEADS, KEYS, VALUES)), np.zeros((HEADS, KEYS)), np.zeros(HEADS)


RULE = Rule(
    cases={"mlstm": Op(run, draw, state, step, rule, decay="g")},
    arrays={**HEADED, "log_input": B, "log_forget": B},
    golden=("mlstm", "mlstm_hf"),
    wrong={
        "q": (lambda: ops.mlstm(Q[..., :2], Q, V, B, B), r"^q has shape \(2, 5, 2, 2\), expected"),
        "k": (
            lambda: ops.mlstm(Q[0, 0], Q[0, 0], V[0, 0], B, B),
            r"^k has shape \(2, 4\), expected",
        ),
        "v": (lambda: ops.mlstm(Q, Q, V[:, :4], B, B), r"^v has shape \(2, 4, 2, 3\), expected"),
        "log_input": (
            lambda: ops.mlstm(Q, Q, V, B[:, :1], B),
            r"^log_input has shape \(2, 1, 2\), expected \(2, 5, 2\) to match k \(2, 5, 2, 4\)",
        ),
        "log_forget": (
            lambda: ops.mlstm(Q, Q, V, B, Q),
            r"^log_forget has shape \(2, 5, 2, 4\), expected \(2, 5, 2\) to match k",
        ),
        "log_forget_dtype": (
            lambda: ops.mlstm(Q, Q, V, B, B.astype(int)),
            r"^log_forget has dtype int64, expected floating point numbers",
        ),
        "state": (lambda: ops.mlstm(Q, Q, V, B, B, (S, Z)), r"^state has the structure"),
        "state_shape": (
            lambda: ops.mlstm(Q, Q, V, B, B, (S, Z, Z)),
            r"^state/2 has shape \(2, 4\), expected \(2, 2\)",
        ),
        "initial": (
            lambda: ops.mlstm(Q, Q, V, B, B, initial=(Z, Z, M)),
            r"^initial/0 has shape \(2, 4\), expected \(2, 2, 4, 3\)",
        ),
    },
)
