"""Cells without parameters, on which Newton's method has more or less to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import memcore
from memcore.backend import namespace

MAPS: dict[str, Callable[[Any], Any]] = {
    "chaos": lambda h: 3.99 * h * (1 - h),  # not solved
    "logistic": lambda h: 2.5 * h * (1 - h),  # solved by damped corrections, as the next
    "cubic": lambda h: h - 0.1 * h**3,
    # Neighbours act on each other, so that a diagonal of Jacobians is not all there is.
    "mixed": lambda h: namespace(h).tanh(0.3 * h + 0.5 * namespace(h).roll(h, 1, axis=-1)),
}


@dataclass(frozen=True)
class Map(memcore.Cell):
    """``h' = f(h) + x``, without parameters."""

    name: str = "chaos"

    def init(self, key: Any, dtype: Any = "float32") -> Any:
        return {}

    def initial_state(self, params: Any) -> Any:
        return np.full(self.in_features, 0.3)

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        return MAPS[self.name](state) + inputs
