"""The finite floor: what the maximum over nothing, and the logarithm of nothing, are in a state."""

from __future__ import annotations

import math

from memcore.backend import namespace
from memcore.types import Array

FLOOR = -1e38
"""Finite in float32, bfloat16 and float64 alike. What lies below it counts as nothing."""


def floored(x: Array) -> Array:
    """``x``, or `FLOOR` where x is not above it; no gradient goes through there. A NaN stays one."""
    xp = namespace(x)
    return xp.where(x <= FLOOR, xp.asarray(FLOOR, dtype=x.dtype), x)


def forgetting(log_decay: Array) -> Array:
    """``log_decay``, or ``-inf`` where it is below -1e30: sums of what lies above do not overflow."""
    xp = namespace(log_decay)
    nothing = xp.asarray(-math.inf, dtype=log_decay.dtype)
    return xp.where(log_decay < -1e30, nothing, log_decay)


def at_least(lowest: float, x: Array) -> Array:
    """``x``, or ``lowest`` where x is below it."""
    xp = namespace(x)
    return xp.where(x < lowest, xp.asarray(lowest, dtype=x.dtype), x)
