"""Running log-sum-exp."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    WIDTH,
    B,
    Op,
    Rule,
    X,
    empty_logarithms,
    normal,
)
from memcore import ops
from memcore.ops.semiring.log_sum_exp import LogSumExp


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
        empty=empty_logarithms,
        decay="g" if decay else None,
    )


RULE = Rule(
    cases={"log_sum_exp": _log_sum_exp(decay=False), "log_sum_exp_decay": _log_sum_exp(decay=True)},
    arrays={"x": X, "log_decay": X},
    optional=("log_decay",),
    told_by="x",
    golden=("lightnet",),
    wrong={
        "x": (lambda: ops.log_sum_exp(X[0, 0]), r"^x has shape \(3,\), expected"),
        "x_decay": (lambda: ops.log_sum_exp(X, B), r"^log_decay has shape \(2, 5, 2\), expected"),
    },
)
