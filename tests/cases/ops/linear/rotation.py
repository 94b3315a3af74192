"""Rotations, from a skew matrix's angles, in a dense recurrence."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import (
    Op,
    Rule,
    X,
    normal,
)
from memcore import ops


def _rotations() -> Op:
    """In 3 dimensions, which have 3 angles: h turns about an axis, by Rodrigues' formula."""

    def draw(rng: np.random.Generator, length: int) -> dict[str, np.ndarray]:
        return {"angles": 2 * normal(rng, length, 3)}

    def step(h: Any, u: dict[str, np.ndarray]) -> tuple[Any, Any]:
        x, y, z = u["angles"]
        skew = np.array([[0, x, y], [-x, 0, z], [-y, -z, 0]])
        angle = np.linalg.norm(u["angles"])
        turn = np.sin(angle) / angle * skew + (1 - np.cos(angle)) / angle**2 * skew @ skew
        h = h + turn @ h
        return h, h

    def run(x: Any, state: Any, **how: Any) -> tuple[Any, Any]:
        return ops.dense_recurrence(ops.rotation(x["angles"]), 0 * x["angles"], state, **how)

    return Op(run=run, draw=draw, state=lambda rng: normal(rng, 3), step=step)


RULE = Rule(
    cases={"rotation": _rotations()},
    arrays={"angles": X},
    golden=("memax_spherical", "memax_pspherical"),
    wrong={
        "angles": (lambda: ops.rotation(X[..., :2]), r"^angles has shape \(2, 5, 2\), expected"),
        "angles_dtype": (
            lambda: ops.rotation(np.zeros(3, int)),
            r"^angles has dtype int64, expected",
        ),
    },
)
