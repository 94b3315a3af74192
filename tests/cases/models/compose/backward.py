"""A model run from the end of each sequence, by its own reference."""

from __future__ import annotations

from typing import Any

import memcore
from cases.models.base import ModelCase
from cases.models.diagonal.lru import lru
from cases.models.reference import Run, by_sequence


def backward(run: Run, params: Any, xs: Any, starts: Any) -> Any:
    """Each sequence from its end."""
    return by_sequence(lambda p, x: run(p, x[::-1])[::-1], params, xs, starts)


CASES = [
    ModelCase(
        "backward",
        memcore.Backward(memcore.LRU(3, state_size=4)),
        lambda p, x, s: backward(lambda p, x: lru(p, x)[1], p, x, s),
        {"stream": "its past is what comes later"},
    ),
]
