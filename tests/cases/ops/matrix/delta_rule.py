"""The delta rule, with and without decay."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    BATCH,
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
from memcore.ops.matrix.delta_rule import DeltaRule


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


RULE = Rule(
    cases={
        "delta_rule": _delta_rule(None),
        "delta_rule_decay": _delta_rule("head"),
        "delta_rule_channel_decay": _delta_rule("channel"),
    },
    arrays={**HEADED, "beta": B, "log_decay": Q},
    optional=("log_decay",),
    told_by="v",
    golden=("delta_rule", "gated_delta_rule", "kda"),
    wrong={
        "v": (lambda: ops.delta_rule(Q, Q, V[:, :4], B), r"^v has shape \(2, 4, 2, 3\), expected"),
        "beta": (
            lambda: ops.delta_rule(Q, Q, V, B[:, :1]),
            r"^beta has shape \(2, 1, 2\), expected",
        ),
        "method": (lambda: ops.delta_rule(Q, Q, V, B, method="foo"), r"^method is 'foo', expected"),
        "chunk_size": (
            lambda: ops.delta_rule(Q, Q, V, B, chunk_size=0),
            r"^chunk_size is 0, expected",
        ),
    },
)
