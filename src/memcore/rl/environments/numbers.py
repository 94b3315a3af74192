"""Random numbers that are a function of a seed and a count, the same in every array library."""

from __future__ import annotations

import math
from typing import TypeAlias

from memcore.backend import namespace
from memcore.types import Array

Shape: TypeAlias = tuple[int, ...]


def mix(x: Array) -> Array:
    """Scramble uint32 ``(...)``: a bijection in which every bit of ``x`` moves half of the bits.

    The constants are those of "lowbias32" (C. Wellons, Prospecting for Hash Functions, 2018).
    """
    xp = namespace(x)
    shape = x.shape
    x = xp.reshape(x, (-1,))  # NumPy warns where a scalar wraps around, and not where an array does
    first, second = (xp.asarray(c, dtype=xp.uint32) for c in (0x7FEB352D, 0x846CA68B))
    x = (x ^ (x >> 16)) * first
    x = (x ^ (x >> 15)) * second
    return xp.reshape(x ^ (x >> 16), shape)


class Numbers:
    """Draws for a batch of seeds; each draw takes the next count.

    Args:
        seed: uint32 ``(...)``.
        count: uint32 ``(...)``, how many draws were made before.
    """

    def __init__(self, seed: Array, count: Array) -> None:
        self.seed, self.count = seed, count

    def uniform(self, *shape: int) -> Array:
        """float32 ``(..., *shape)`` in [0, 1)."""
        xp = namespace(self.seed)
        # Scrambled each by itself, and the count and the place inverted: small numbers must not meet.
        here = mix(mix(self.seed) ^ mix(~self.count))
        self.count = self.count + xp.ones_like(self.count)
        places = xp.reshape(xp.arange(math.prod(shape), dtype=xp.uint32), shape)
        bits = mix(here[(..., *(None,) * len(shape))] ^ mix(~places))
        return xp.astype(bits >> 8, xp.float32) * 2.0**-24

    def integers(self, bound: int, *shape: int) -> Array:
        """int32 ``(..., *shape)`` in [0, bound)."""
        xp = namespace(self.seed)
        return xp.astype(xp.floor(self.uniform(*shape) * float(bound)), xp.int32)

    def normal(self, *shape: int) -> Array:
        """float32 ``(..., *shape)``, standard normal (Box and Muller, 1958)."""
        xp = namespace(self.seed)
        radius = xp.sqrt(-2.0 * xp.log(1.0 - self.uniform(*shape)))
        return radius * xp.cos(2.0 * math.pi * self.uniform(*shape))
