"""What a run carries to every part of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from memcore.backend import as_draw

METHODS = ("sequential", "associative", "chunked", "fused", "newton")


@dataclass(frozen=True)
class Call:
    """How one run goes: the same for every part of a composite.

    Attributes:
        starts: ``(*batch, T)`` bool or None: where the memory starts afresh.
        valid: ``(*batch, T)`` bool or None: steps that are not padding.
        method: one of `METHODS` or ``"auto"``.
        chunk_size: steps per chunk, or None for 64 of ``chunked`` and what ``auto`` chooses of ``fused``.
        key: for dropout; None means no dropout.
        return_states: whether a cell returns its states too.
    """

    starts: Any = None
    valid: Any = None
    method: str = "auto"
    chunk_size: int | None = None
    key: Any = None
    return_states: bool = False

    def child(self, name: str) -> Call:
        """The same run for a part, with randomness of its own."""
        if self.key is None:
            return self
        return replace(self, key=as_draw(self.key).child(name))

    @property
    def options(self) -> dict[str, Any]:
        """The keyword arguments of a function of `memcore.ops`."""
        return {
            "starts": self.starts,
            "valid": self.valid,
            "method": self.method,
            "chunk_size": self.chunk_size,
        }

    def resolve(self, methods: tuple[str, ...]) -> str:
        """The asked method, or ``"auto"`` for a part that lacks it."""
        return self.method if self.method in methods else "auto"
