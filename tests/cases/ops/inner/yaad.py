"""Yaad: a matrix trained under the Huber loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import HEADS, KEYS, B, Q, Rule
from memcore import ops

W = np.ones((HEADS, KEYS, KEYS))
ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "threshold": B, "weight": W}


def call(**arguments: Any) -> Any:
    return ops.yaad(**{**ARRAYS, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    golden=("yaad_linear", "yaad_linear_huber_norm", "yaad_linear_huber_coordinate"),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
        "loss": (lambda: call(loss="absolute"), r"^loss is 'absolute', expected"),
    },
)
