"""What a run carries to every part of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from memcore.backend import as_draw, namespace
from memcore.types import Array, Key, Starts, Tree

METHODS = ("sequential", "associative", "chunked", "fused", "newton")


@dataclass(frozen=True)
class Call:
    """How one run goes: the same for every part of a composite.

    Attributes:
        starts: ``(*batch, T)`` bool or None: where the memory starts afresh.
        valid: ``(*batch, T)`` bool or None: steps that are not padding.
        method: one of `METHODS` or ``"auto"``.
        chunk_size: steps per chunk, or None for 64 of ``chunked`` and what ``auto`` chooses of ``fused``.
        key: for dropout and noise; None means neither.
        return_states: whether a cell returns its states too.
        phase: int32 scalar, the place of the first step in the grid; None where the model has no grid.
        axis_name: the axis of devices along which each holds a consecutive piece of every sequence; None
            where a device holds all of it.
        one_step: whether this is one step of a model whose recurrences all have the fold.
        watch: called with ``(cell, params, inputs)`` of every recurrence that runs; for the laws' tests.
    """

    starts: Starts = None
    valid: Array = None
    method: str = "auto"
    chunk_size: int | None = None
    key: Key = None
    return_states: bool = False
    phase: Array = None
    axis_name: str | None = None
    one_step: bool = False
    watch: Callable[[Tree, Tree, Tree], None] | None = None

    def child(self, name: str) -> Call:
        """The same run for a part, with randomness of its own."""
        if self.key is None:
            return self
        return replace(self, key=as_draw(self.key).child(name))

    def mirrored(self) -> Call:
        """The same run from the last step to the first.

        Backwards in time a start on step t stands between t and t-1: it acts before step t-1 is taken.
        None stands behind the last step.
        """
        starts, valid = self.starts, self.valid
        if starts is not None:
            xp = namespace(starts)
            behind = xp.concat([starts[..., 1:], xp.zeros_like(starts[..., :1])], axis=-1)
            starts = xp.flip(behind, axis=-1)
        if valid is not None:
            valid = namespace(valid).flip(valid, axis=-1)
        return replace(self, starts=starts, valid=valid)

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
