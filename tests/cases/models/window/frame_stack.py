"""Frame stacking, Mnih et al. 2015."""

from typing import Any

import numpy as np

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.reference import by_sequence


def of(window: int) -> Reference:
    """Each row between copies of zeros that stand before the sequence."""

    def run(params: Any, xs: Any) -> Any:
        line = np.concatenate([np.zeros((window - 1, xs.shape[1])), xs])
        return np.stack([line[t : t + window].ravel() for t in range(len(xs))])

    return lambda p, x, s: by_sequence(run, p, x, s)


CASES = [
    ModelCase("frame_stack", memcore.FrameStack(3, window=4), of(4)),
    ModelCase("frame_stack_one", memcore.FrameStack(3, window=1), of(1), on_jax=False),
    ModelCase("frame_stack_long", memcore.FrameStack(2, window=25), of(25), on_jax=False),
]
WRONG = {"window": (lambda: memcore.FrameStack(3, window=0), r"^window is 0, expected a positive")}
