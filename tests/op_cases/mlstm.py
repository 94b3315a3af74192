"""The mLSTM, from the equations of arXiv:2405.04517 without a stabiliser."""

from __future__ import annotations

from typing import Any

import numpy as np

from memcore import ops
from memcore.ops.matrix.mlstm import MLSTMRule
from op_cases.base import HEADS, KEYS, VALUES, Op, normal
from op_cases.memories import heads

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


OPS: dict[str, Op] = {"mlstm": Op(run, draw, state, step, rule, decay="g")}
