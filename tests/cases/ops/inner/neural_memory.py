"""The long-term memory of Titans."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases.ops.base import HEADS, KEYS, B, Q, Rule
from memcore import ops

ARRAYS = {"q": Q, "k": Q, "v": Q, "rate": B, "momentum": B, "forget": B}
MORE = {"weights": (np.zeros((HEADS, KEYS, KEYS)),)}


def call(**arguments: Any) -> Any:
    return ops.neural_memory(**{**ARRAYS, **MORE, **arguments})


RULE = Rule(
    cases={},  # a run is no sum of elements: golden vectors, and a loop in tests/ops/inner
    arrays=ARRAYS,
    more=MORE,
    golden=(
        "titans_paper_linear",
        "titans_paper_linear_chunk4",
        "titans_paper_mlp",
        "titans_paper_mlp_chunk4",
    ),
    wrong={
        "rate": (lambda: call(rate=B[:, :1]), r"^rate has shape \(2, 1, 2\), expected"),
        "max_grad_norm": (
            lambda: call(max_grad_norm=0.0),
            r"^max_grad_norm is 0\.0, expected None",
        ),
        "mini_batch": (lambda: call(mini_batch=0), r"^mini_batch is 0, expected a positive int"),
    },
)
