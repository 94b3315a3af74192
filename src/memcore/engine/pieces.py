"""Sequences in pieces, one on each device of an axis: what a piece is to the ones behind it.

A piece is one element of the recurrence's semigroup, with the flag of its starts, so what stands before a
piece is the state that the elements of all pieces before it make of the incoming one: one `all_gather`, whose
size is the element's, whatever the length. Of a memory that reaches no further back than a piece is long, as
a window, it is what the piece before leaves: one `ppermute`. With padding that holds where every piece has as
many valid steps as the memory reaches back, or a start; all devices agree whether it does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from memcore.backend import (
    branch,
    common_axes,
    everywhere,
    fold,
    gathered,
    namespace,
    of_one_before,
    piece,
)
from memcore.engine import resets
from memcore.engine.prefix import used
from memcore.engine.recurrence import Recurrence, part
from memcore.types import Array, Element, Starts, State, Tree

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
    reach = cell.reach
    if reach is None or reach > job.length:
        return replace(alone, state=told(alone, cell.element(alone), axis_name))
    if job.call.valid is None:
        tail = part(alone, job.length - reach, job.length)
        return replace(alone, state=handed_on(alone, cell.element(tail), axis_name))
    element = cell.element(alone)
    state = branch(
        everywhere(cuts_off(alone, reach, axis_name), axis_name),
        lambda: handed_on(alone, element, axis_name),
        lambda: told(alone, element, axis_name),
    )
    return replace(alone, state=state)


def told(job: Recurrence, element: tuple[Array, Array, Element], axis_name: str) -> State:
    """What the elements of all pieces before this one make of the incoming state."""
    every = gathered(element, axis_name)
    index, count = piece(axis_name)
    xp = namespace(job.leaf)
    numbers = xp.arange(count, dtype=xp.int32)

    def enter(state: State, slot: Tree) -> tuple[State, None]:
        number, element = slot
        return resets.select(number < index, acted(job, state, element), state), None

    state, _ = common_axes((job.state, index))  # a fold carries one kind of array
    state, _ = fold(enter, state, (numbers, every), count)
    return state


def handed_on(job: Recurrence, element: tuple[Array, Array, Element], axis_name: str) -> State:
    """What the piece before leaves, whatever it was entered with; in front of the first piece, its state."""
    index, _ = piece(axis_name)
    left = acted(job, job.state, element)
    return resets.select(index == 0, job.state, of_one_before(left, axis_name))


def acted(job: Recurrence, state: State, element: tuple[Array, Array, Element]) -> State:
    """The state behind a piece that was entered with ``state``."""
    start, valid, own = element
    base = resets.select(start, job.fresh, state)
    after = job.memoroid.act(job.params, base, own)
    return after if valid is None else resets.select(valid, after, base)


def cuts_off(job: Recurrence, reach: int, axis_name: str) -> Array:
    """``(*batch,)``: whether what this piece leaves does not depend on what other pieces do; whatever it is,
    nobody asks the last one."""
    xp, starts = namespace(job.leaf), job.call.starts
    index, count = piece(axis_name)
    steps = xp.sum(xp.astype(used(job), xp.int32), axis=-1, dtype=xp.int32)
    enough = (steps >= reach) | (index == 0) | (index == count - 1)
    return enough if starts is None else enough | xp.any(starts, axis=-1)


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
