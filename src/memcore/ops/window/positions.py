"""Positions in attention: rotary and ALiBi."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from memcore.backend import namespace


def rope(x: Any, positions: Any) -> Any:
    """Rotate channel pairs ``(j, j + K/2)`` of ``x (..., L, K)`` by ``positions (L,) * 10000^(-2j/K)``.

    Rotary positions (arXiv:2104.09864), in the half-split layout of most public checkpoints.
    """
    xp, half = namespace(x), x.shape[-1] // 2
    frequency = np.exp(-math.log(10000.0) * np.arange(half) / half)
    angle = xp.astype(positions, x.dtype)[:, None] * xp.astype(xp.asarray(frequency), x.dtype)
    cos, sin = xp.cos(angle), xp.sin(angle)
    a, b = x[..., :half], x[..., half:]
    return xp.concat([a * cos - b * sin, a * sin + b * cos], axis=-1)


def alibi_slopes(heads: int) -> np.ndarray:
    """``2^(-8 (h + 1) / H)`` for head h (arXiv:2108.12409)."""
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)


def check_position(position: str | None, key_size: int) -> None:
    """Raise ValueError for a position encoding that is unknown or does not fit the keys."""
    if position not in (None, "rope", "alibi"):
        raise ValueError(f"position is {position!r}, expected None, 'rope' or 'alibi'")
    if position == "rope" and key_size % 2:
        raise ValueError(f"position is 'rope', which needs an even key size, got {key_size}")
