"""Running softmax, log-sum-exp and maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree

from memcore import ops
from memcore.ops.semiring.log_sum_exp import LogSumExp
from memcore.ops.semiring.max_plus import MaxPlus
from memcore.ops.semiring.softmax import SoftmaxRule
from op_cases.base import HEADS, VALUES, WIDTH, Op, normal


def empty(state: Any) -> Any:
    """Logarithms of nothing, for the rules whose whole state is one."""
    return optree.tree_map(lambda x: np.full_like(x, -1e38), state)


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


def _log_sum_exp(decay: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        x = {"x": 3 * normal(rng, length, WIDTH)}
        return {**x, "g": -np.abs(normal(rng, length, WIDTH))} if decay else x

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = np.logaddexp(h + u["g"] if decay else h, u["x"])
        return h, h

    def rule(x: Any) -> tuple[Any, Any]:
        names = {"x": "x", "g": "log_decay"}
        return LogSumExp(), {names[n]: array for n, array in x.items()}

    return Op(
        run=lambda x, state, **how: ops.log_sum_exp(x["x"], x.get("g"), state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        rule=rule,
        empty=empty,
        decay="g" if decay else None,
    )


def _max_plus() -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {"a": normal(rng, length, WIDTH), "b": normal(rng, length, WIDTH)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = np.maximum(h + u["a"], u["b"])
        return h, h

    return Op(
        run=lambda x, state, **how: ops.max_plus(x["a"], x["b"], state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        rule=lambda x: (MaxPlus(), {"a": x["a"], "b": x["b"]}),
        empty=empty,
        decay="a",
    )


OPS: dict[str, Op] = {
    "softmax": _softmax(decay=False),
    "softmax_decay": _softmax(decay=True),
    "log_sum_exp": _log_sum_exp(decay=False),
    "log_sum_exp_decay": _log_sum_exp(decay=True),
    "max_plus": _max_plus(),
}
