"""What the golden vectors of models with a linear recurrence are turned into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recurrence:
    """``h_t = decay_t h_{t-1} + drive_t``, with batch and time in front; ``state`` is what a second
    run begins with, ``last`` names the final state and ``outputs`` what ``read(h)`` gives."""

    decay: np.ndarray
    drive: np.ndarray
    state: np.ndarray
    last: str
    outputs: str
    read: Callable[[np.ndarray], np.ndarray] = lambda h: h
