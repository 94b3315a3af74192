"""Running maximum."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    WIDTH,
    Op,
    Rule,
    X,
    empty_logarithms,
    normal,
)
from memcore import ops
from memcore.ops.semiring.max_plus import MaxPlus


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
        empty=empty_logarithms,
        decay="a",
    )


RULE = Rule(
    cases={"max_plus": _max_plus()},
    arrays={"a": X, "b": X},
    told_by="b",
    golden=("memax_nmax",),
    wrong={
        "decay_dtype": (lambda: ops.max_plus(0, X), r"^a has dtype int64, expected floating"),
        "a": (lambda: ops.max_plus(np.zeros(4), X), r"^a has shape \(4,\), expected"),
        "b": (lambda: ops.max_plus(X[0, 0], X[0, 0]), r"^b has shape \(3,\), expected"),
        "initial": (
            lambda: ops.max_plus(X, X, initial=np.zeros(4)),
            r"^initial has shape \(4,\), expected \(2, 3\)",
        ),
    },
)
