"""Chunks side by side, where one after the other would leave a device idle.

The sequence is cut into pieces that run as one more batch axis. Each is an element of the recurrence's
semigroup, whose prefixes give the states before all pieces; then all of them run from these. A chunk is
computed twice, and few steps are left of the fold over chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memcore.backend import asarray_like, is_symbolic, namespace, placed_like, tree_leaves, tree_map
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.prefix import states_after
from memcore.engine.recurrence import Recurrence, join, split
from memcore.types import Array, State, Tree

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
    """``run`` in pieces of ``size`` steps: ``(state, reads)``."""
    cut = _cut(job, size)
    after = states_after(job, job.memoroid.element(cut), 0)

    def before(first: Array, after: Array) -> Array:
        return namespace(after).concat([first[None, ...], after[:-1, ...]], axis=0)

    states, reads = run(replace(cut, state=tree_map(before, job.state, after)))
    reads = tree_map(lambda leaf: out_of_chunks(leaf, job.axis, job.length), reads)
    return tree_map(lambda leaf: leaf[-1, ...], states), reads


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
