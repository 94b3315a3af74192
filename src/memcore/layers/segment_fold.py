"""A fold over the segments of a grid, which keeps for the gradient what crosses their borders and no more."""

from __future__ import annotations

from collections.abc import Callable

from memcore.backend import checkpoint, fold, namespace, placed_like, tree_map
from memcore.cell import Array, Starts, State
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.resets import select
from memcore.types import Tree

Rows = Callable[[State, Array, Starts, Array], tuple[State, Array]]
"""``(state, xs, begins, used) -> (state, out)`` of the rows of one segment."""


def fold_segments(
    rows: Rows, opened: Callable[[Tree], State], closed: Callable[[State], Tree],
    carried: Tree, state: State, xs: Array, starts: Starts, valid: Array, *,
    phase: Array, segment: int,
) -> tuple[State, Array]:  # fmt: skip
    """Fold over segments: ``(state, out (*batch, T, ...))``; row t of ``xs (*batch, T, D)`` stands at place
    ``phase + t`` of the grid.

    Between two segments stands ``carried`` alone, of which ``opened`` makes the state of the next; ``closed``
    makes it of a segment's end. A gradient computes every segment again: memory replay (Memformer,
    arXiv:2010.06891, algorithm 1).
    """
    xp, axis, length = namespace(xs), xs.ndim - 2, xs.shape[-2]
    phase = xp.zeros((), dtype=xp.int32) if phase is None else phase
    blocks = (length + 2 * segment - 2) // segment
    # The last row stands in the last block; there may be one block too many in front.
    front = blocks - 1 - (phase + length - 1) // segment
    row = xp.arange(blocks * segment, dtype=xp.int32) - phase - front * segment
    real = (row >= 0) & (row < length)
    source = xp.clip(row, 0, length - 1)
    real = placed_like(xp.broadcast_to(real, (*xs.shape[:-2], row.shape[0])), xs, axis)

    def place(x: Array) -> Array:
        return xp.take(x, source, axis=axis)

    begins = None if starts is None else real & place(starts)
    used = real if valid is None else real & place(valid)
    slots = tree_map(lambda x: into_chunks(x, axis, segment), (place(xs), begins, used))
    slots = (*slots, xp.arange(blocks, dtype=xp.int32))

    def run(carried: Tree, slot: Tree) -> tuple[State, Array]:
        x, begins, used, number = slot
        return rows(select(number == front, state, opened(carried)), x, begins, used)

    def block(carried: Tree, slot: Tree) -> tuple[Tree, Array]:
        after, out = run(carried, slot)
        return select(slot[-1] >= front, closed(after), carried), out

    outs = []
    if blocks > 1:
        before = tree_map(lambda x: x[:-1, ...], slots)
        carried, out = fold(checkpoint(block, state), carried, before, blocks - 1)
        outs = [out]
    after, out = checkpoint(run, state)(carried, tree_map(lambda x: x[-1, ...], slots))
    out = out_of_chunks(xp.concat([*outs, out[None, ...]], axis=0), axis, row.shape[0])
    after = select((phase + length) % segment == 0, opened(closed(after)), after)
    return after, xp.take(out, xp.arange(length, dtype=xp.int32) - row[0], axis=axis)
