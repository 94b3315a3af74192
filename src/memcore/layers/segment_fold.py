"""A fold over the segments of a grid, which keeps for the gradient what crosses their borders and no more."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from memcore.backend import (
    broadcast_like,
    checkpoint,
    fold,
    namespace,
    placed_like,
    tree_leaves,
    tree_map,
)
from memcore.cell import Array, Cell, Inputs, Params, Reads, Starts, State
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.resets import select
from memcore.types import Tree, Value

Rows = Callable[[State, Inputs, Starts, Array], tuple[State, Reads]]
"""``(state, inputs, begins, used) -> (state, out)`` of the rows of one segment."""


def fold_segments(
    rows: Rows, opened: Callable[[Tree], State], closed: Callable[[State], Tree],
    carried: Tree, state: State, inputs: Inputs, starts: Starts, valid: Array, *,
    phase: Array, segment: int, axis: int,
) -> tuple[State, Reads]:  # fmt: skip
    """Fold over segments: ``(state, out (*batch, T, ...))``; row t of ``inputs (*batch, T, ...)`` stands at
    place ``phase + t`` of the grid. ``axis`` is the time axis.

    Between two segments stands ``carried`` alone, of which ``opened`` makes the state of the next; ``closed``
    makes it of a segment's end. A gradient computes every segment again: memory replay (Memformer,
    arXiv:2010.06891, algorithm 1).
    """
    like = tree_leaves(inputs)[0]
    xp, length = namespace(like), like.shape[axis]
    phase = xp.zeros((), dtype=xp.int32) if phase is None else phase
    blocks = (length + 2 * segment - 2) // segment
    # The last row stands in the last block; there may be one block too many in front.
    front = blocks - 1 - (phase + length - 1) // segment
    row = xp.arange(blocks * segment, dtype=xp.int32) - phase - front * segment
    real = (row >= 0) & (row < length)
    source = xp.clip(row, 0, length - 1)
    real = placed_like(xp.broadcast_to(real, (*like.shape[:axis], row.shape[0])), like, axis)

    def place(x: Array) -> Array:
        return xp.take(x, source, axis=axis)

    begins = None if starts is None else real & place(starts)
    used = real if valid is None else real & place(valid)
    there = (tree_map(place, inputs), begins, used)
    slots = tree_map(lambda x: into_chunks(x, axis, segment), there)
    slots = (*slots, xp.arange(blocks, dtype=xp.int32))

    def run(carried: Tree, slot: Tree) -> tuple[State, Reads]:
        u, begins, used, number = slot
        return rows(select(number == front, state, opened(carried)), u, begins, used)

    def block(carried: Tree, slot: Tree) -> tuple[Tree, Reads]:
        after, out = run(carried, slot)
        return select(slot[-1] >= front, closed(after), carried), out

    outs: list[Tree] = []
    if blocks > 1:
        before = tree_map(lambda x: x[:-1, ...], slots)
        carried, out = fold(checkpoint(block, state), carried, before, blocks - 1)
        outs = [out]
    after, last = checkpoint(run, state)(carried, tree_map(lambda x: x[-1, ...], slots))
    after = select((phase + length) % segment == 0, opened(closed(after)), after)
    asked = xp.arange(length, dtype=xp.int32) - row[0]

    def together(*outs: Array) -> Array:
        out = xp.concat([*outs[:-1], outs[-1][None, ...]], axis=0)
        return xp.take(out_of_chunks(out, axis, row.shape[0]), asked, axis=axis)

    return after, tree_map(together, *outs, last)


@dataclass(frozen=True)
class SegmentFold(Cell):
    """A cell on a grid of ``segment`` steps, whose `fused` runs the rows of a segment together.

    A subclass says what crosses a border: `closed` makes it of the state behind a segment, `opened` makes of
    it the state in front of the next.
    """

    row_ndim: ClassVar[int] = 1
    """Axes of what is embedded of a step."""

    def carried(self, state: State) -> Tree:
        """A tree like what crosses a border, of any state."""
        raise NotImplementedError

    def opened(self, params: Params, carried: Tree) -> State:
        """The state of a segment without tokens."""
        raise NotImplementedError

    def closed(self, params: Params, state: State) -> Tree:
        """What crosses the border at the end of a segment."""
        raise NotImplementedError

    def rows(
        self, params: Params, state: State, u: Inputs, begins: Starts, used: Array, *, fresh: State
    ) -> tuple[State, Reads]:
        """Steps of one segment, ``(*batch, R, ...)``: ``begins`` are the starts or None and ``used`` those
        that count; behind a start stands the ``fresh`` state."""
        raise NotImplementedError

    def turn(self, params: Params, state: State) -> State:
        return self.opened(params, self.closed(params, state))

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
        phase: Array = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        fresh = broadcast_like(self.initial_state(params) if initial is None else initial, state)
        rows = partial(self.rows, params, fresh=fresh)
        opened, closed = partial(self.opened, params), partial(self.closed, params)
        axis = tree_leaves(inputs)[0].ndim - self.row_ndim - 1
        where: dict[str, Value] = {"phase": phase, "segment": self.grid, "axis": axis}
        carried = self.carried(state)
        return fold_segments(rows, opened, closed, carried, state, inputs, starts, valid, **where)
