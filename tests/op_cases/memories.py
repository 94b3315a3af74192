"""Matrix memories."""

from __future__ import annotations

from typing import Any

import numpy as np

from memcore import ops
from memcore.ops.matrix.delta_rule import DeltaRule
from memcore.ops.matrix.linear_attention import LinearAttentionRule
from op_cases.base import BATCH, HEADS, KEYS, VALUES, Op, normal, unit


def heads(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
    k = unit(normal(rng, length, HEADS, KEYS))
    return {
        "q": normal(rng, length, HEADS, KEYS),
        "k": k,
        "v": normal(rng, length, HEADS, VALUES),
    }


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


def _delta_rule(decay: str | None) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = heads(rng, length)
        x["beta"] = rng.uniform(0, 2, (BATCH, length, HEADS))
        shape = (length, HEADS, KEYS) if decay == "channel" else (length, HEADS)
        return {**x, "g": -np.abs(normal(rng, *shape))} if decay else x

    def step(S: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        outer = u["beta"][:, None, None] * np.einsum("hk,hl->hkl", u["k"], u["k"])
        a = np.exp(u["g"]).reshape(HEADS, -1, 1) if decay else 1.0
        S = np.einsum("hkl,hlv->hkv", np.eye(KEYS) - outer, a * S)
        S = S + u["beta"][:, None, None] * np.einsum("hk,hv->hkv", u["k"], u["v"])
        return S, np.einsum("hkv,hk->hv", S, 0.5 * u["q"])

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        how = {"scale": 0.5, **how}
        return ops.delta_rule(x["q"], x["k"], x["v"], x["beta"], x.get("g"), state, **how)

    def state(rng: np.random.Generator) -> Any:
        return normal(rng, HEADS, KEYS, VALUES)

    def rule(x: Any) -> tuple[Any, Any]:
        return DeltaRule(scale=0.5), inputs(x)

    return Op(run, draw, state, step, rule, decay="g" if decay else None)


def inputs(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays by the names that the rules give them."""
    names = {"q": "q", "k": "k", "v": "v", "beta": "beta", "g": "log_decay"}
    return {names[n]: array for n, array in x.items()}


OPS: dict[str, Op] = {
    "attention": _linear_attention(None),
    "attention_decay": _linear_attention("head"),
    "attention_channel_decay": _linear_attention("channel"),
    "attention_normalised": _linear_attention(None, normalise=True),
    "attention_normalised_decay": _linear_attention("head", normalise=True),
    "attention_normalised_channel_decay": _linear_attention("channel", normalise=True),
    "delta": _delta_rule(None),
    "gated_delta": _delta_rule("head"),
    "channel_gated_delta": _delta_rule("channel"),
}
