"""Ratios of models in a stack, as "5:1"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def by_ratio(ratio: str, items: Sequence[T]) -> tuple[T, ...]:
    """Each item as often as the ratio says: "5:1" of (a, b) is a five times, then b.

    Raises:
        ValueError: ``ratio`` is no numbers above 0 with colons between them, one for each item.
    """
    counts = ratio.split(":") if isinstance(ratio, str) else []
    if not all(n.strip().isdigit() and int(n) > 0 for n in counts) or len(counts) != len(items):
        raise ValueError(
            f"ratio is {ratio!r}, expected a number above 0 for each of {len(items)} models, as '5:1' of two"
        )
    return tuple(item for n, item in zip(counts, items, strict=True) for _ in range(int(n)))
