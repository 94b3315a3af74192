"""Linear attention, with and without decay and normaliser."""

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
    inputs,
    normal,
)
from memcore import ops
from memcore.ops.matrix.linear_attention import LinearAttentionRule


def _linear_attention(decay: str | None, normalise: bool = False) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = heads(rng, length)
        if normalise:
            x = {**x, "q": np.abs(x["q"]) + 0.1, "k": np.abs(x["k"]) + 0.1}
        if decay:
            shape = (length, HEADS, KEYS) if decay == "channel" else (length, HEADS)
            x["g"] = -np.abs(normal(rng, *shape))
        return x

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        S, z = h if normalise else (h, None)
        if decay:
            a = np.exp(u["g"]) if decay == "channel" else np.exp(u["g"])[:, None]
            S, z = S * a[..., None], z * a if normalise else None
        S = S + np.einsum("hk,hv->hkv", u["k"], u["v"])
        out = np.einsum("hkv,hk->hv", S, 0.5 * u["q"])
        if not normalise:
            return S, out
        z = z + u["k"]
        return (S, z), out / (np.einsum("hk,hk->h", z, 0.5 * u["q"])[:, None] + 1e-10)

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        how = {"normalise": normalise, "scale": 0.5, **how}
        return ops.linear_attention(x["q"], x["k"], x["v"], x.get("g"), state, **how)

    def state(rng: np.random.Generator) -> Any:
        S = normal(rng, HEADS, KEYS, VALUES)
        return (S, 1 + np.abs(normal(rng, HEADS, KEYS))) if normalise else S

    def rule(x: Any) -> tuple[Any, Any]:
        return LinearAttentionRule(normalise=normalise, scale=0.5), inputs(x)

    return Op(run, draw, state, step, rule, decay="g" if decay else None)


RULE = Rule(
    cases={
        "linear_attention": _linear_attention(None),
        "linear_attention_decay": _linear_attention("head"),
        "linear_attention_channel_decay": _linear_attention("channel"),
        "linear_attention_normalised": _linear_attention(None, normalise=True),
        "linear_attention_normalised_decay": _linear_attention("head", normalise=True),
        "linear_attention_normalised_channel_decay": _linear_attention("channel", normalise=True),
    },
    arrays={**HEADED, "log_decay": B},
    optional=("log_decay",),
    golden=(
        "linear_attn_unnorm",
        "linear_attn_elu1_norm",
        "simple_gla",
        "gla",
        "retention",
        "hgrn2",
        "mamba2_ssd",
        "rwkv6",
        "gsa",
        "abc",
        "based",
        "rebased",
        "memorax_linear_attention",
    ),
    wrong={
        "q": (
            lambda: ops.linear_attention(Q[..., :2], Q, V),
            r"^q has shape \(2, 5, 2, 2\), expected",
        ),
        "k": (lambda: ops.linear_attention(Q[0, 0], Q[0, 0], V[0, 0]), r"^k has shape"),
        "log_decay": (
            lambda: ops.linear_attention(Q, Q, V, B[0]),
            r"^log_decay has shape \(5, 2\)",
        ),
        "starts": (
            lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((3, 5), bool)),
            r"^starts has shape \(3, 5\), expected \(2, 5\)",
        ),
        "starts_dtype": (
            lambda: ops.linear_attention(Q, Q, V, starts=np.zeros((2, 5), complex)),
            r"^starts has dtype complex128, expected bool",
        ),
        "state": (
            lambda: ops.linear_attention(Q, Q, V, state=np.zeros((2, 2, 4, 4))),
            r"^state has shape \(2, 2, 4, 4\), expected \(2, 2, 4, 3\)",
        ),
        "initial": (
            lambda: ops.linear_attention(Q, Q, V, initial=np.zeros((2, 2, 4, 4))),
            r"^initial has shape \(2, 2, 4, 4\), expected \(2, 2, 4, 3\)",
        ),
    },
)
