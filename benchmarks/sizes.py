"""The sizes of the benchmarks' problems."""

from __future__ import annotations

from dataclasses import dataclass

KERNEL = 4
"""Taps of the causal convolution."""


@dataclass(frozen=True)
class Sizes:
    """B sequences of T steps; H heads of key and value size K = V; channels or features; W steps."""

    batch: int = 4
    length: int = 1024
    heads: int = 4
    size: int = 64
    width: int = 256
    window: int = 64

    @property
    def dense(self) -> int:
        """Rows of a dense transition."""
        return self.size // 4

    def __str__(self) -> str:
        return (
            f"B={self.batch} T={self.length} H={self.heads} K=V={self.size}, "
            f"{self.width} channels, W={self.window}"
        )


FULL = Sizes()
SMALL = Sizes(batch=2, length=128, heads=2, size=8, width=16, window=8)

WIDE = (
    "4x128x64", "16x128x64", "64x32x64", "256x32x128", "8x128x256", "32x1024x128", "4x1024x256",
)  # fmt: skip
"""B x T x width, of gated cells and recurrences."""
