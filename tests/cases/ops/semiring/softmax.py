"""Running softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    HEADS,
    VALUES,
    B,
    Op,
    Rule,
    V,
    normal,
)
from memcore import ops
from memcore.ops.semiring.softmax import SoftmaxRule


def _softmax(decay: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = {"s": 3 * normal(rng, length, HEADS), "v": normal(rng, length, HEADS, VALUES)}
        return {**x, "g": -np.abs(normal(rng, length, HEADS))} if decay else x

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        m, total, weighted = h
        m = m + u["g"] if decay else m
        top = np.where(u["s"] > m, u["s"], m)
        total = total * np.exp(m - top) + np.exp(u["s"] - top)
        new = np.exp(u["s"] - top)[:, None] * u["v"]
        weighted = weighted * np.exp(m - top)[:, None] + new
        return (top, total, weighted), weighted / total[:, None]

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        return ops.softmax(x["s"], x["v"], x.get("g"), state, **how)

    def state(rng: np.random.Generator) -> Any:
        total = 1 + np.abs(normal(rng, HEADS))
        return normal(rng, HEADS), total, normal(rng, HEADS, VALUES)

    def rule(x: Any) -> tuple[Any, Any]:
        names = {"s": "scores", "v": "v", "g": "log_decay"}
        return SoftmaxRule(), {names[n]: array for n, array in x.items()}

    return Op(
        run,
        draw,
        state,
        step,
        rule,
        empty=lambda h: (np.full_like(h[0], -1e38), np.zeros_like(h[1]), np.zeros_like(h[2])),
        decay="g" if decay else None,
    )


RULE = Rule(
    cases={"softmax": _softmax(decay=False), "softmax_decay": _softmax(decay=True)},
    arrays={"scores": B, "v": V, "log_decay": B},
    optional=("log_decay",),
    golden=("aaren", "rwkv4_wkv"),
    wrong={
        "scores": (lambda: ops.softmax(B[0, 0], V[0, 0]), r"^scores has shape \(2,\), expected"),
        "scores_dtype": (
            lambda: ops.softmax(B.astype(int), V),
            r"^scores has dtype int64, expected",
        ),
        "v": (
            lambda: ops.softmax(B, V[:, :4]),
            r"^v has shape \(2, 4, 2, 3\), expected \(2, 5, 2, 3\)",
        ),
        "v_rank": (
            lambda: ops.softmax(B, V[0, 0]),
            r"^v has shape \(2, 3\), expected \(..., T, H, V\)",
        ),
        "log_decay": (
            lambda: ops.softmax(B, V, B[:, :4]),
            r"^log_decay has shape \(2, 4, 2\), expected one that broadcasts to scores \(2, 5, 2\)",
        ),
        "state": (lambda: ops.softmax(B, V, state=B[:, 0]), r"^state has the structure"),
        "state_shape": (
            lambda: ops.softmax(B, V, state=(B[:, 0], B[:, 0], B[:, 0])),
            r"^state/2 has shape \(2, 2\), expected \(2, 2, 3\)",
        ),
    },
)
