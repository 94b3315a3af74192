"""Linear recurrences."""

from __future__ import annotations

from typing import Any

import numpy as np

from memcore import ops
from memcore.ops.linear_recurrence import LinearRecurrence
from op_cases.base import BATCH, WIDTH, Op, normal


def _real(constant: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (WIDTH,) if constant else (BATCH, length, WIDTH)
        return {"a": rng.uniform(-1, 1, shape), "b": normal(rng, length, WIDTH)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        h = u["a"] * h + u["b"]
        return h, h

    return Op(
        run=lambda x, state, **how: ops.linear_recurrence(x["a"], x["b"], state, **how),
        draw=draw,
        state=lambda rng: normal(rng, WIDTH),
        step=step,
        rule=None
        if constant
        else lambda x: (LinearRecurrence(), None, {"decay": x["a"], "input": x["b"]}),
        constant=("a",) if constant else (),
    )


def _complex(constant: bool) -> Op:
    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        shape = (WIDTH,) if constant else (BATCH, length, WIDTH)
        a = rng.uniform(0.2, 1, shape) * np.exp(1j * rng.uniform(-3, 3, shape))
        b = normal(rng, length, WIDTH), normal(rng, length, WIDTH)
        return {"a_re": a.real, "a_im": a.imag, "b_re": b[0], "b_im": b[1]}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        z = (u["a_re"] + 1j * u["a_im"]) * (h[0] + 1j * h[1]) + u["b_re"] + 1j * u["b_im"]
        return (z.real, z.imag), (z.real, z.imag)

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        return ops.linear_recurrence((x["a_re"], x["a_im"]), (x["b_re"], x["b_im"]), state, **how)

    def rule(x: Any) -> tuple[Any, Any, Any]:
        pairs = {"decay": (x["a_re"], x["a_im"]), "input": (x["b_re"], x["b_im"])}
        return LinearRecurrence(), None, pairs

    return Op(
        run=run,
        draw=draw,
        state=lambda rng: (normal(rng, WIDTH), normal(rng, WIDTH)),
        step=step,
        rule=None if constant else rule,
        constant=("a_re", "a_im") if constant else (),
    )


OPS: dict[str, Op] = {
    "recurrence": _real(constant=False),
    "recurrence_constant": _real(constant=True),
    "complex": _complex(constant=False),
    "complex_constant": _complex(constant=True),
}
