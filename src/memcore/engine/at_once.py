"""Chunks side by side, where one after the other would leave a device idle.

The sequence is cut into pieces that run as one more batch axis. Each is an element of the recurrence's
semigroup, whose prefixes give the states before all pieces; then all of them run from these. A chunk is
computed twice, and few steps are left of the fold over chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from operator import and_

from memcore.backend import asarray_like, is_symbolic, namespace, placed_like, tree_leaves, tree_map
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.prefix import states_after
from memcore.engine.recurrence import Recurrence, join, split
from memcore.engine.resets import poison, seen_so_far, segments, select
from memcore.types import Array, Element, State, Tree

BUSY = 2**20
"""So many numbers of states, over all sequences and pieces, keep an H100 busy."""
FEWEST = 4
"""Of fewer pieces the second computation costs more than the steps that it saves."""


def pieces(job: Recurrence, chunk_size: int) -> int:
    """How many steps a piece has, whole chunks; all of them where one after the other is as good."""
    if any(map(is_symbolic, job.shape)):
        return job.length
    numbers = sum(leaf.size for leaf in tree_leaves(job.state))
    chunks = -(-job.length // chunk_size)
    count = min(chunks, BUSY // max(numbers, 1))
    return job.length if count < FEWEST else -(-chunks // count) * chunk_size


def side_by_side(
    job: Recurrence, size: int, run: Callable[[Recurrence], tuple[Tree, ...]]
) -> tuple[State, Tree]:
    """``run`` in pieces of ``size`` steps: ``(state, reads)``; heads are the first axis of both.

    What is not finite in a piece is not handed on, since a product with 0 would spoil gradients behind a
    start, but known: the states and reads that it reaches are made NaN at the end.
    """
    cut, axis = _cut(job, size), job.axis
    start, valid, element = job.memoroid.element(cut)
    wrong = _wrong(element, axis + 2)
    after = states_after(job, (start, valid, _cleaned(wrong, element)), 0)

    def before(first: Array, after: Array) -> Array:
        return namespace(after).concat([first[None, ...], after[:-1, ...]], axis=0)

    states, reads = run(replace(cut, state=tree_map(before, job.state, after)))
    ends = _spoiled(wrong, start)
    begins = namespace(ends).concat(
        [namespace(ends).zeros_like(ends[:1, ...]), ends[:-1, ...]], axis=0
    )
    reads = tree_map(lambda r: poison(_until_a_start(begins, cut), r), reads)
    reads = tree_map(lambda leaf: out_of_chunks(leaf, axis, job.length), reads)
    return poison(ends[-1, ...], tree_map(lambda leaf: leaf[-1, ...], states)), reads


def _wrong(element: Element, axes: int) -> Array:
    """``(pieces, *batch, H)``: whether what a piece writes, or does to a state, is not finite."""

    def finite(leaf: Array) -> Array:
        xp, found = namespace(leaf), namespace(leaf).isfinite(leaf)
        return xp.all(found, axis=tuple(range(axes, leaf.ndim))) if leaf.ndim > axes else found

    return ~reduce(and_, map(finite, tree_leaves(element)))


def _cleaned(wrong: Array, element: Element) -> Element:
    return tree_map(lambda x: select(wrong, namespace(x).zeros_like(x), x), element)


def _spoiled(wrong: Array, start: Array) -> Array:
    """``(pieces, *batch, H)``: whether the state behind a piece has seen a wrong one since the last start."""
    xp = namespace(wrong)
    last = xp.moveaxis(wrong, 0, -1)
    starts = None if start is None else xp.moveaxis(start, 0, -1)[..., None, :]
    return xp.moveaxis(seen_so_far(last, xp.zeros_like(last[..., 0]), starts, last.ndim - 1), -1, 0)


def _until_a_start(begins: Array, cut: Recurrence) -> Array:
    """``(pieces, *batch, T, H)``: the steps of pieces that begin spoiled, up to their first start."""
    xp, begins = namespace(begins), begins[..., None, :]
    if cut.call.starts is None:
        return xp.broadcast_to(begins, (*cut.shape, begins.shape[-1]))
    return begins & (segments(cut.call.starts) == 0)[..., None]


def _cut(job: Recurrence, size: int) -> Recurrence:
    """The same steps in pieces, in front of the batch; what fills up the last one is not valid."""
    axis, call, count = job.axis, job.call, -(-job.length // size)
    moving, still, structure = split(job.inputs, axis, job.length)
    xp, valid = namespace(job.leaf), call.valid
    if valid is None and size * count > job.length:
        every = asarray_like(xp.ones(job.shape, dtype=xp.bool), job.leaf)
        valid = placed_like(every, job.leaf, axis)
    moving = tree_map(lambda leaf: into_chunks(leaf, axis, size), moving)
    still = tree_map(lambda leaf: leaf[None, ...], still)
    flags = tree_map(lambda flag: into_chunks(flag, axis, size, False), (call.starts, valid))

    def of_all(leaf: Array) -> Array:
        return namespace(leaf).broadcast_to(leaf, (count, *leaf.shape))

    return replace(
        job,
        inputs=join(moving, still, structure),
        state=tree_map(of_all, job.state),
        call=replace(call, starts=flags[0], valid=flags[1]),
        shape=(count, *job.shape[:-1], size),
        xs=None,
    )
