"""Positions in attention: rotary and ALiBi."""

from __future__ import annotations

import math

import numpy as np

from memcore.backend import namespace
from memcore.cell import Array
from memcore.types import Namespace

TABLE = 1024
"""Angles that are tabulated; others are sums of two of them."""


def rope(x: Array, first: int) -> Array:
    """Rotate channel pairs ``(j, j + K/2)`` of ``x (..., L, K)`` by ``(first + l) * 10000^(-2j/K)``.

    Rotary positions (arXiv:2104.09864), in the half-split layout of most public checkpoints. The angles are
    float64's whatever x is: ``place * frequency`` in float32 is off by 1e-3 after 100,000 places.
    """
    xp, half = namespace(x), x.shape[-1] // 2
    cos, sin = (xp.astype(part, x.dtype) for part in _turns(first, x.shape[-2], half, xp))
    a, b = x[..., :half], x[..., half:]
    return xp.concat([a * cos - b * sin, a * sin + b * cos], axis=-1)


def _turns(first: int, length: int, half: int, xp: Namespace) -> tuple[Array, Array]:
    """Cosines and sines ``(L, K/2)`` of consecutive places."""
    frequency = np.exp(-math.log(10000.0) * np.arange(half) / half)

    def table(places: np.ndarray) -> tuple[Array, Array]:
        angle = places[:, None] * frequency
        return xp.asarray(np.cos(angle)), xp.asarray(np.sin(angle))

    if length <= TABLE:
        return table(first + np.arange(length, dtype=np.float64))
    # A program does not carry a constant for every place.
    rows = -(-length // TABLE)
    low_cos, low_sin = table(np.arange(TABLE, dtype=np.float64))
    high_cos, high_sin = (
        x[:, None, :] for x in table(first + TABLE * np.arange(rows, dtype=np.float64))
    )
    both = (high_cos * low_cos - high_sin * low_sin, high_sin * low_cos + high_cos * low_sin)
    cos, sin = (xp.reshape(x, (rows * TABLE, half))[:length, :] for x in both)
    return cos, sin


def alibi_slopes(heads: int) -> np.ndarray:
    """``2^(-8 (h + 1) / H)`` for head h (arXiv:2108.12409)."""
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)


def check_position(position: str | None, key_size: int) -> None:
    """Raise ValueError for a position encoding that is unknown or does not fit the keys."""
    if position not in (None, "rope", "alibi"):
        raise ValueError(f"position is {position!r}, expected None, 'rope' or 'alibi'")
    if position == "rope" and key_size % 2:
        raise ValueError(f"position is 'rope', which needs an even key size, got {key_size}")
