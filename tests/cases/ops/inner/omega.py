"""The Omega rule, with the step of ATLAS where there is momentum."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import HEADS, KEYS, B, Q, Rule
from memcore import ops

W = np.ones((HEADS, KEYS, KEYS))
ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "gamma": B, "momentum": B, "weight": W}


def call(**arguments: Any) -> Any:
    return ops.omega(**{**ARRAYS, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    optional=("momentum", "weight"),
    golden=("omega_linear", "omega_linear_start", "omega_poly"),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
        "weight": (
            lambda: call(degree=2),
            r"^weight has shape \(2, 4, 4\), expected \(.*, 2, 21, 4\)",
        ),
        "weights": (
            lambda: call(weight=np.stack([W] * 3)),
            r"^weight has shape \(3, 2, 4, 4\), expected batch axes .* broadcast to \(2,\), those of q",
        ),
        "window": (lambda: call(window=0), r"^window is 0, expected a positive int"),
    },
)
