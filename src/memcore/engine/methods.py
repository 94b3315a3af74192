"""The methods: one recurrence as a fold, a prefix scan, a fold over chunks, its fused form, or by Newton."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from memcore.backend import (
    asarray_like,
    checkpoint,
    device_kind,
    fold,
    is_floating,
    is_jax,
    is_symbolic,
    namespace,
    placed_like,
    tree_leaves,
    tree_map,
)
from memcore.engine import at_once, auto, newton, pieces, resets
from memcore.engine.chunking import CHUNK_SIZE, WIDENED, into_chunks, out_of_chunks
from memcore.engine.prefix import all_states
from memcore.engine.recurrence import (
    Recurrence,
    advance,
    join,
    moved_by,
    slots_of,
    split,
    time_back,
)
from memcore.types import Array, State, Tree


def recur(job: Recurrence) -> tuple[Tree, ...]:
    """The recurrence alone: ``(state, reads)``, and the states if the call asks for them."""
    if job.call.one_step and job.length == 1:
        return _one_step(job)
    kind = device_kind(job.leaf)
    method = job.call.resolve(job.cell.methods)
    if job.call.axis_name is not None:
        if method == "newton":
            return _newton(job)
        job = pieces.arrived(job)
    if method == "auto":
        method = auto.choose(job.cell, job.length, kind, job.call.return_states).method
    if is_symbolic(job.length):
        auto.check_open(job.cell, method, job.length)
    chunk_size = job.call.chunk_size or auto.chunk_size(job, method, kind)
    if method == "fused":
        if chunk_size and auto.at_once(job.cell, kind):
            size = at_once.pieces(job, chunk_size)
            if size < job.length:
                return at_once.side_by_side(job, size, lambda part: _fused(part, chunk_size))
        return _fused(job, chunk_size)
    if method == "sequential" or job.length == 1:
        return _sequential_in_chunks(job) if _keeps_much(job) else sequential(job)
    if method == "associative":
        return results(job, all_states(job))
    if method == "newton":
        return _newton(job)
    return _chunked(job, min(chunk_size or CHUNK_SIZE, job.length))


def _fused(job: Recurrence, chunk_size: int | None) -> tuple[Tree, ...]:
    call, how = job.call, {}
    if job.cell.grid > 1:
        how["phase"] = call.phase % job.cell.grid
    if job.xs is not None:
        how["xs"] = job.xs
    state, reads = job.cell.fused(
        job.params, job.state, job.inputs, call.starts,
        initial=job.initial, valid=call.valid, chunk_size=chunk_size, **how,
    )  # fmt: skip
    return (state, reads, reads) if call.return_states else (state, reads)


def sequential(job: Recurrence) -> tuple[Tree, ...]:
    """A fold of ``step`` and ``read``."""
    cell, wants = job.cell, job.call.return_states
    slots, (constants, structure) = slots_of(job)
    one = advance(cell, structure)

    def body(h: Array, slot: Tree) -> Tree:
        before, after, turned, read = one(constants, h, slot)
        r = read(before if cell.reads_previous else after)
        return turned, (r, turned if wants else None)

    state, (reads, states) = fold(body, job.state, slots, job.length)
    reads = time_back(reads, job.axis)
    return (state, reads, time_back(states, job.axis)) if wants else (state, reads)


def _one_step(job: Recurrence) -> tuple[Tree, ...]:
    """The fold of one step: nothing is moved, cut or stacked."""
    cell, starts, turns, axis = job.cell, job.call.starts, job.turns, job.axis
    here = (slice(None),) * axis + (0, ...)
    inputs = tree_map(lambda u: u[here], job.inputs)
    initial = None if starts is None else job.fresh
    flags = (None if starts is None else starts[..., 0], None, None if turns is None else turns[0])
    before, after, turned, read = moved_by(cell, job.params, inputs, job.state, initial, flags)
    reads = read(before if cell.reads_previous else after)
    behind = (slice(None),) * axis + (None, ...)
    return turned, tree_map(lambda r: r[behind], reads)


def _keeps_much(job: Recurrence) -> bool:
    """Whether a plain fold would keep what is wide, for the gradient, at every step."""
    cell = job.cell
    if not cell.widens or cell.has_turn or is_symbolic(job.length):
        return False
    return job.length > WIDENED and is_jax(job.leaf)


def _sequential_in_chunks(job: Recurrence) -> tuple[Tree, ...]:
    """A fold over chunks, which widen their inputs again for the gradient."""
    return in_chunks(job, WIDENED, sequential)


def _newton(job: Recurrence) -> tuple[Tree, ...]:
    leaves, axis_name = tree_leaves(job.state), job.call.axis_name
    if not leaves or not all(is_floating(leaf) for leaf in leaves):  # a count has no derivative
        if axis_name is not None:
            raise ValueError(
                "method is 'newton', which finds the states of pieces by derivatives: expected a state of "
                f"floating point numbers, which that of {job.cell!r} is not"
            )
        return sequential(job)
    slots, (constants, structure) = slots_of(job)
    one = advance(job.cell, structure)
    states, before = newton.all_states(
        lambda *args: one(*args)[2], constants, job.state, slots, job.axis, job.length, axis_name
    )
    return results(replace(job, state=before), time_back(states, job.axis))


def results(job: Recurrence, states: State) -> tuple[Tree, ...]:
    """What a run returns, from the state after each step."""
    last = (slice(None),) * job.axis + (-1, ...)
    result = (tree_map(lambda s: s[last], states), _read_all(job, states))
    return (*result, states) if job.call.return_states else result


def _read_all(job: Recurrence, states: State) -> Tree:
    cell, axis = job.cell, job.axis
    if not cell.reads_previous:
        return cell.read(job.params, states, job.inputs)
    starts = job.call.starts
    fresh = None if starts is None else job.fresh
    before = resets.before_each(job.state, states, starts, fresh, axis)
    return cell.read(job.params, before, job.inputs)


def _chunked(job: Recurrence, size: int) -> tuple[Tree, ...]:
    """A fold over chunks with a parallel prefix inside."""
    return in_chunks(job, size, lambda part: results(part, all_states(part)))


def in_chunks(
    job: Recurrence, size: int, run: Callable[[Recurrence], tuple[Tree, ...]]
) -> tuple[Tree, ...]:
    """Fold ``run`` over chunks of ``size`` steps; what a chunk makes is not kept for the gradient."""
    axis, length, call = job.axis, job.length, job.call
    chunks, missing = -(-length // size), -length % size
    moving, still, structure = split(job.inputs, axis, length)
    xp = namespace(job.leaf)
    valid = call.valid
    if missing and valid is None:
        every = asarray_like(xp.ones(job.shape, dtype=xp.bool), job.leaf)
        valid = placed_like(every, job.leaf, axis)
    cut = tree_map(lambda leaf: into_chunks(leaf, axis, size), (moving, call.starts))
    if valid is not None:
        valid = into_chunks(valid, axis, size, False)
    if missing and call.starts is not None:
        # The padding repeats the last step: no start of its own.
        cut = (cut[0], into_chunks(call.starts, axis, size, False))

    def body(h: Array, slot: Tree) -> Tree:
        (moved, starts), valid = slot
        how = replace(call, starts=starts, valid=valid)
        shape = (*job.shape[:-1], size)
        inputs = join(moved, still, structure)
        state, *outs = run(replace(job, inputs=inputs, state=h, call=how, shape=shape, xs=None))
        return state, outs

    state, outs = fold(checkpoint(body, job.state), job.state, (cut, valid), chunks)
    return (state, *tree_map(lambda leaf: out_of_chunks(leaf, axis, length), outs))
