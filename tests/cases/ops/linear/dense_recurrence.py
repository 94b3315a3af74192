"""Dense linear recurrences."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    BATCH,
    WIDTH,
    Op,
    Rule,
    X,
    normal,
)
from memcore import ops
from memcore.ops.linear.dense_recurrence import DenseRecurrence


def _dense(constant: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (WIDTH, WIDTH) if constant else (BATCH, length, WIDTH, WIDTH)
        return {"b": normal(rng, length, WIDTH), "a": 0.5 * rng.standard_normal(shape)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = u["a"] @ h + u["b"]
        return h, h

    return Op(
        run=lambda x, state, **how: ops.dense_recurrence(x["a"], x["b"], state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        rule=None if constant else lambda x: (DenseRecurrence(), {"a": x["a"], "b": x["b"]}),
        constant=("a",) if constant else (),
    )


M = np.zeros((2, 5, WIDTH, WIDTH))


RULE = Rule(
    cases={
        "dense_recurrence": _dense(constant=False),
        "dense_recurrence_constant": _dense(constant=True),
    },
    arrays={"a": M, "b": X},
    optional=("b",),
    told_by="b",
    golden=(
        "lmu_memory",
        "lssl_hippo_legs_zoh",
        "lssl_hippo_legs_bilinear",
        "memax_linear_recurrent",
    ),
    wrong={
        "a": (
            lambda: ops.dense_recurrence(M[..., :2], X),
            r"^a has shape \(2, 5, 3, 2\), expected .*\(3, 3\)",
        ),
        "a_time": (
            lambda: ops.dense_recurrence(M[:, :2], X),
            r"^a has shape \(2, 2, 3, 3\), expected",
        ),
        "a_alone": (
            lambda: ops.dense_recurrence(M[0, 0]),
            r"^a has shape \(3, 3\), expected \(\.\.\., T, N, N",
        ),
        "not_square": (
            lambda: ops.dense_recurrence(M[..., :2]),
            r"^a has shape \(2, 5, 3, 2\), expected",
        ),
        "a_dtype": (
            lambda: ops.dense_recurrence(M.astype(int), X),
            r"^a has dtype int64, expected",
        ),
        "b": (
            lambda: ops.dense_recurrence(M, X[0, 0]),
            r"^b has shape \(3,\), expected \(\.\.\., T, N\)",
        ),
        "state": (
            lambda: ops.dense_recurrence(M, X, X),
            r"^state has shape \(2, 5, 3\), expected \(2, 3\)",
        ),
    },
)
