"""LaCT: an MLP trained chunk by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import HEADS, KEYS, B, Q, Rule
from memcore import ops

W = np.ones((HEADS, KEYS, KEYS))
ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "w0": W, "w1": W, "w2": W}


def call(**arguments: Any) -> Any:
    return ops.lact(**{**ARRAYS, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    golden=("lact", "lact_start"),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
        "mini_batch": (lambda: call(mini_batch=0), r"^mini_batch is 0, expected a positive int"),
    },
)
