"""Causal convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    WIDTH,
    Op,
    Q,
    Rule,
    X,
    normal,
    some_filled,
)
from memcore import ops
from memcore.ops.window.causal_convolution import CausalConvolution


def _convolution(size: int) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {"x": normal(rng, length, WIDTH), "kernel": rng.standard_normal((size, WIDTH))}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        items = np.concatenate([h[0], u["x"][None]])
        filled = np.concatenate([h[1], [True]])
        return (items[1:], filled[1:]), np.sum(u["kernel"] * items, axis=0)

    def state(rng: np.random.Generator) -> Any:
        filled = some_filled(rng, size - 1)
        return (normal(rng, size - 1, WIDTH) * filled[..., None], filled)

    def rule(x: Any) -> tuple[Any, Any]:
        return CausalConvolution(length=size - 1), {"x": x["x"], "kernel": x["kernel"][None, None]}

    return Op(
        run=lambda x, state, **how: ops.causal_convolution(x["x"], x["kernel"], state, **how),
        draw=draw,
        state=state,
        step=step,
        rule=rule,
        constant=("kernel",),
    )


RULE = Rule(
    cases={
        "causal_convolution": _convolution(4),
        "causal_convolution_of_two": _convolution(2),
    },
    arrays={"x": X, "kernel": X[0]},
    wrong={
        "valid": (
            lambda: ops.causal_convolution(X, X[0, :3], valid=np.zeros((2, 4), bool)),
            r"^valid has shape \(2, 4\), expected \(2, 5\)",
        ),
        "kernel": (
            lambda: ops.causal_convolution(X, Q[0, 0]),
            r"^kernel has shape \(2, 4\), expected",
        ),
        "kernel_short": (
            lambda: ops.causal_convolution(X, X[0, :1]),
            r"^kernel has shape \(1, 3\)",
        ),
        "x": (lambda: ops.causal_convolution(X[0, 0], X[0]), r"^x has shape \(3,\), expected"),
    },
)
