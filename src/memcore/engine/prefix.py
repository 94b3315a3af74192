"""A memoroid's parallel prefix: the state after each step, and a whole run as one element."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memcore.backend import (
    asarray_like,
    associative_scan,
    checkpoint,
    fold,
    namespace,
    placed_like,
    tree_map,
)
from memcore.engine import resets
from memcore.engine.chunking import CHUNK_SIZE, into_chunks
from memcore.engine.recurrence import Recurrence, join, part, split
from memcore.types import Array, Element, State, Tree


def all_states(job: Recurrence) -> Tree:
    """The state after each step, by the parallel prefix of the reset-aware operator."""
    return states_after(job, _elements(job), job.axis)


def states_after(job: Recurrence, elements: tuple[Array, Array, Element], axis: int) -> Tree:
    """The state after each of the elements ``(starts, valid, elements)`` that stand along ``axis``."""
    started, valid, elements = associative_scan(_operator(job), elements, axis)
    state, initial = (
        tree_map(lambda s: namespace(s).expand_dims(s, axis=axis), tree)
        for tree in (job.state, job.fresh)
    )
    before = _from(started, initial, state)
    after = job.memoroid.act(job.params, before, elements)
    if valid is None:
        return after
    before = tree_map(lambda a, b: namespace(a).broadcast_to(b, a.shape), after, before)
    return resets.select(valid, after, before)


def _from(started: Tree, initial: State, state: State) -> Tree:
    """The state that a prefix acts on: the incoming one, or the initial one behind a start."""
    if started is None:
        return state

    def leaf(i: Array, s: State) -> Tree:
        return namespace(s).where(resets.align(started, s.ndim), i, s)

    return tree_map(leaf, initial, state)


def _operator(job: Recurrence) -> Callable[[Tree, Tree], Tree]:
    return resets.resettable(lambda a, b: job.memoroid.binary_op(job.params, a, b))


def _elements(job: Recurrence) -> Element:
    """``(starts, valid, elements)`` of all steps, every leaf with all batch axes and T."""

    def of_all(leaf: Array) -> Tree:
        if leaf.shape[: job.axis + 1] != job.shape:
            leaf = namespace(leaf).broadcast_to(leaf, (*job.shape, *leaf.shape[job.axis + 1 :]))
        return placed_like(leaf, job.leaf, job.axis)

    elements = tree_map(of_all, job.memoroid.lift(job.params, job.inputs))
    return job.call.starts, job.call.valid, elements


def total(job: Recurrence, size: int = CHUNK_SIZE) -> tuple[Array, Array, Element]:
    """The whole sequence as one element ``(start, valid, element)``, by chunks of ``size`` steps: what a step
    lifts to is there for one chunk at a time."""
    first = job.length % size or min(size, job.length)
    element, count = _total_at_once(part(job, 0, first)), (job.length - first) // size
    if not count:
        return element
    later, axis = part(job, first, job.length), job.axis
    moving, still, structure = split(later.inputs, axis, later.length)

    def body(before: Tree, slot: Tree) -> tuple[Tree, None]:
        moved, starts, valid = slot
        call, shape = replace(job.call, starts=starts, valid=valid), (*job.shape[:-1], size)
        chunk = replace(later, inputs=join(moved, still, structure), call=call, shape=shape)
        return _operator(job)(before, _total_at_once(chunk)), None

    slots = (moving, later.call.starts, later.call.valid)
    cut = tree_map(lambda x: into_chunks(x, axis, size), slots)
    element, _ = fold(checkpoint(body, job.leaf), element, cut, count)
    return element


def _total_at_once(job: Recurrence) -> tuple[Array, Array, Element]:
    """The last of the prefix."""
    prefix = associative_scan(_operator(job), _elements(job), job.axis)
    last = (slice(None),) * job.axis + (-1, ...)
    return tree_map(lambda leaf: leaf[last], prefix)


def flags(job: Recurrence) -> tuple[Array, Array]:
    """``(start, valid)`` of a run as one element: whether a start is in it, and whether it has a valid step
    behind the last one; None where nothing was given."""
    starts, valid = job.call.starts, job.call.valid
    start = None if starts is None else namespace(starts).any(starts, axis=-1)
    return start, None if valid is None else namespace(valid).any(used(job), axis=-1)


def used(job: Recurrence) -> Array:
    """``(*batch, T)`` bool: the valid steps behind the last start, of which a run's element is made."""
    starts, valid, xp = job.call.starts, job.call.valid, namespace(job.leaf)
    if valid is None:
        every = asarray_like(xp.ones(job.shape, dtype=xp.bool), job.leaf)
        valid = placed_like(every, job.leaf, job.axis)
    if starts is None:
        return valid
    number = resets.segments(starts)
    return valid & (number == number[..., -1:])


def full(empty: State, job: Recurrence) -> State:
    """A state of one sequence for all of the run's, in the dtypes of its own."""

    def leaf(x: Array, like: Array) -> Array:
        xp, lead = namespace(like), like.shape[: job.axis]
        x = xp.broadcast_to(asarray_like(x, like), (*lead, *x.shape))
        return placed_like(x, like, job.axis)

    return tree_map(leaf, empty, job.state)
