"""A model run in both directions, by its own reference."""

from __future__ import annotations

from typing import Any

import numpy as np

import memcore
from cases.models.base import NOT_ASSOCIATIVE, ModelCase
from cases.models.compose.backward import backward
from cases.models.gated.gru import gru
from cases.models.reference import Run, by_sequence


def bidirectional(run: Run, params: Any, xs: Any, starts: Any) -> Any:
    """Both, side by side."""
    ahead = by_sequence(run, params["forward"], xs, starts)
    return np.concatenate([ahead, backward(run, params["backward"], xs, starts)], axis=-1)


CASES = [
    ModelCase(
        "bidirectional",
        memcore.Bidirectional(memcore.GRU(4, hidden_size=3)),
        lambda p, x, s: bidirectional(lambda p, x: gru(p, x)[1], p, x, s),
        {**NOT_ASSOCIATIVE, "stream": "half of its past is what comes later"},
    ),
]
