"""Cutting time into chunks of equal length, and putting them together again."""

from __future__ import annotations

from memcore.backend import namespace
from memcore.types import Array

CHUNK_SIZE = 64
"""Steps per chunk where neither the caller nor the table of `memcore.engine.auto` says it."""
WIDENED = 16
"""The same for a cell that widens its inputs."""


def into_chunks(x: Array, axis: int, size: int, padding: float | bool | None = None) -> Array:
    """``(*batch, T, ...)`` to ``(chunks, *batch, size, ...)``, with time at ``axis``.

    A ragged last chunk is filled up with the number ``padding``, or by repeating the last step if None.
    """
    return namespace(x).moveaxis(cut_chunks(x, axis, size, padding), axis, 0)


def cut_chunks(x: Array, axis: int, size: int, padding: float | bool | None = None) -> Array:
    """The same as ``(*batch, chunks, size, ...)``: nothing moves, if no chunk is filled up."""
    xp = namespace(x)
    chunks = -(-x.shape[axis] // size)
    missing = chunks * size - x.shape[axis]
    if missing:
        shape = (*x.shape[:axis], missing, *x.shape[axis + 1 :])
        last = x[(slice(None),) * axis + (slice(-1, None), ...)]
        tail = last if padding is None else xp.full_like(last, padding)  # lies where x does
        x = xp.concat([x, xp.broadcast_to(tail, shape)], axis=axis)
    return xp.reshape(x, (*x.shape[:axis], chunks, size, *x.shape[axis + 1 :]))


def out_of_chunks(x: Array, axis: int, length: int) -> Array:
    """``(chunks, *batch, size, ...)`` to ``(*batch, T, ...)``, without the padding."""
    return join_chunks(namespace(x).moveaxis(x, 0, axis), axis, length)


def join_chunks(x: Array, axis: int, length: int) -> Array:
    """``(*batch, chunks, size, ...)`` to ``(*batch, T, ...)``, without the padding."""
    shape = (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2 :])
    return namespace(x).reshape(x, shape)[(slice(None),) * axis + (slice(0, length), ...)]
