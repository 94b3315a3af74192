"""The Omega rule, with the step of ATLAS where there is momentum."""

from __future__ import annotations

from typing import Any

from cases.ops.base import B, Q, Rule
from memcore import ops

ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "keep": B, "gamma": B, "momentum": B}


def call(**arguments: Any) -> Any:
    return ops.omega(**{**ARRAYS, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    optional=("momentum",),
    golden=("omega_linear", "omega_linear_start", "omega_poly"),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
        "window": (lambda: call(window=0), r"^window is 0, expected a positive int"),
    },
)
