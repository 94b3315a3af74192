"""LaCT: an MLP trained chunk by chunk."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import HEADS, KEYS, B, Q, Rule
from memcore import ops

W = np.ones((HEADS, KEYS, KEYS))
ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "w0": W, "w1": W, "w2": W, "momentum": B}


def call(**arguments: Any) -> Any:
    return ops.lact(**{**ARRAYS, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    optional=("momentum",),
    golden=("lact", "lact_start"),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
        "three_rates": (
            lambda: call(rate=np.ones((*B.shape, 2))),
            r"^rate has shape \(2, 5, 2, 2\), expected \(2, 5, 2, 3\)",
        ),
        "weights": (
            lambda: call(**dict.fromkeys(("w0", "w1", "w2"), np.stack([W] * 3))),
            r"^w0 has shape \(3, 2, .*\), expected batch axes .* broadcast to \(2,\), those of q",
        ),
        "muon": (lambda: call(muon=1), r"^muon is 1, expected True or False"),
        "mini_batch": (lambda: call(mini_batch=0), r"^mini_batch is 0, expected a positive int"),
    },
)
