"""Moneta: a matrix trained under an l_p loss."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import HEADS, KEYS, B, Q, Rule
from memcore import ops

W = np.ones((HEADS, KEYS, KEYS))
ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "weight": W}


def call(**arguments: Any) -> Any:
    return ops.moneta(**{**ARRAYS, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    golden=("moneta_linear",),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
    },
)
