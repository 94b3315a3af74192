"""Sequences in pieces, one on each device of an axis: what a piece is to the ones behind it.

A piece is one element of the recurrence's semigroup, with the flag of its starts, so what stands before a
piece is the state that the elements of all pieces before it make of the incoming one: one `all_gather`, whose
size is the element's, whatever the length.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from memcore.backend import common_axes, fold, gathered, namespace, piece
from memcore.engine import resets
from memcore.engine.recurrence import Recurrence
from memcore.types import Array, Starts, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model


def check_pieces(model: Model, method: str = "auto") -> None:
    """Raise ValueError for a model that does not run in pieces by ``method``."""
    if not model.causal:
        raise ValueError(
            f"model is {model!r}, which is not causal: expected one that reads from the first step on"
        )
    for path, cell in model.recurrences():
        by_newton = "newton" in cell.methods
        if not (cell.in_pieces or by_newton and method == "newton"):
            also = "; memcore.parallel.apply runs it with method='newton' as well" * by_newton
            raise ValueError(
                f"model has the recurrence {path!r}, whose pieces do not run side by side: expected "
                "associative ones, as of LRU, MinGRU, S5, Mamba, GatedDeltaNet, MLSTM or Attention with a "
                f"window{also}"
            )
    if model.grid > 1:
        raise ValueError(
            f"model is {model!r}, which works on a grid of {model.grid} steps: expected one without a grid"
        )


def arrived(job: Recurrence) -> Recurrence:
    """The recurrence of this device's piece, with the state that stands before it."""
    cell, axis_name = job.memoroid, cast("str", job.call.axis_name)
    alone = replace(job, call=replace(job.call, axis_name=None))
    every = gathered(cell.element(alone), axis_name)
    index, count = piece(axis_name)
    xp = namespace(job.leaf)
    numbers = xp.arange(count, dtype=xp.int32)

    def enter(state: State, slot: Tree) -> tuple[State, None]:
        number, (start, valid, element) = slot
        base = resets.select(start, job.fresh, state)
        after = cell.act(job.params, base, element)
        after = after if valid is None else resets.select(valid, after, base)
        return resets.select(number < index, after, state), None

    state, _ = common_axes((job.state, index))  # a fold carries one kind of array
    state, _ = fold(enter, state, (numbers, every), count)
    return replace(alone, state=state)


def flags(job: Recurrence) -> tuple[Array, Array]:
    """``(start, valid)`` of a run as one element: whether a start is in it, and whether it has a valid step
    behind the last one; None where nothing was given."""
    starts, valid = job.call.starts, job.call.valid
    if starts is None:
        return None, None if valid is None else namespace(valid).any(valid, axis=-1)
    xp = namespace(starts)
    if valid is not None:
        number = resets.segments(starts)
        valid = xp.any(valid & (number == number[..., -1:]), axis=-1)
    return xp.any(starts, axis=-1), valid


def spoiled(bad: Array, end: Array, starts: Starts, axis_name: str) -> Array:
    """``(*batch,)``: whether what was not finite reaches this device's piece.

    ``bad`` is that of the incoming state, ``end`` whether a piece by itself is spoiled at its end.
    """
    xp = namespace(end)
    started = xp.zeros_like(end) if starts is None else xp.any(starts, axis=-1)
    ends, flags = gathered((end, started), axis_name)
    index, count = piece(axis_name)

    def enter(bad: Array, slot: Tree) -> tuple[Array, None]:
        number, end, started = slot
        return xp.where(number < index, end | bad & ~started, bad), None

    bad, *_ = common_axes((bad, index, ends))  # a fold carries one kind of array
    bad, _ = fold(enter, bad, (xp.arange(count, dtype=xp.int32), ends, flags), count)
    return bad
