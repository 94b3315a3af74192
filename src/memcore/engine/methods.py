"""The methods: one recurrence as a fold, a prefix scan, a fold over chunks, its fused form, or by Newton."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memcore.backend import (
    asarray_like,
    associative_scan,
    broadcast_like,
    checkpoint,
    device_kind,
    fold,
    is_floating,
    namespace,
    states_of_fold,
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_unflatten,
)
from memcore.engine import auto, newton, resets
from memcore.engine.call import Call
from memcore.engine.chunking import CHUNK_SIZE, into_chunks, out_of_chunks


def recur(
    cell: Any, params: Any, inputs: Any, state: Any, call: Call, shape: tuple[int, ...]
) -> tuple[Any, ...]:
    """The recurrence alone: ``(state, reads)``, and the states if the call asks for them.

    ``shape`` is ``(*batch, T)``; leaves of ``inputs`` have it in front, with length 1 where they are
    constant. ``state`` has the batch axes.
    """
    axis, length = len(shape) - 1, shape[-1]
    kind = device_kind(tree_leaves((state, inputs))[0])
    method = call.resolve(cell.methods)
    if method == "auto":
        method = auto.choose(cell, length, kind, call.return_states).method
    chunk_size = call.chunk_size or auto.chunk_size(cell, method, kind)
    if method == "fused":
        return cell.fused(
            params, state, inputs, call.starts, valid=call.valid, chunk_size=chunk_size
        )
    initial = broadcast_like(cell.initial_state(params), state)
    args = (cell, params, inputs, state, initial, call, axis, length)
    if method == "sequential" or length == 1:
        return _sequential(*args)
    if method == "associative":
        return _associative(*args)
    if method == "newton":
        return _newton(*args)
    return _chunked(*args, chunk_size=min(chunk_size or CHUNK_SIZE, length))


def _split(inputs: Any, axis: int, length: int) -> tuple[list[Any], list[Any], Any]:
    """Leaves that move in time and leaves that do not (None in the other's place)."""
    leaves, structure = tree_flatten(inputs)
    moves = [leaf.shape[axis] == length for leaf in leaves]
    moving = [leaf if m else None for leaf, m in zip(leaves, moves, strict=True)]
    still = [None if m else leaf for leaf, m in zip(leaves, moves, strict=True)]
    return moving, still, structure


def _join(moving: list[Any], still: list[Any], structure: Any) -> Any:
    both = [s if m is None else m for m, s in zip(moving, still, strict=True)]
    return tree_unflatten(structure, both)


def _time_first(tree: Any, axis: int) -> Any:
    return tree_map(lambda leaf: namespace(leaf).moveaxis(leaf, axis, 0), tree)


def _time_back(tree: Any, axis: int) -> Any:
    return tree_map(lambda leaf: namespace(leaf).moveaxis(leaf, 0, axis), tree)


def _drop_time(leaf: Any, axis: int) -> Any:
    return None if leaf is None else namespace(leaf).squeeze(leaf, axis=axis)


def _advance(cell: Any, structure: Any) -> Callable[[Any, Any, Any], tuple[Any, Any, Any]]:
    """One step with its start and validity: the state before it and after it, and its inputs."""

    def advance(constants: Any, h: Any, slot: Any) -> tuple[Any, Any, Any]:
        (params, initial, still), (moved, start, valid) = constants, slot
        u = _join(moved, still, structure)
        before = resets.select(start, initial, h)
        after = cell.step(params, before, u)
        return before, after if valid is None else resets.select(valid, after, before), u

    return advance


def _sequential(
    cell: Any, params: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int, length: int
) -> tuple[Any, ...]:  # fmt: skip
    moving, still, structure = _split(inputs, axis, length)
    still = [_drop_time(leaf, axis) for leaf in still]
    advance = _advance(cell, structure)

    def body(h: Any, slot: Any) -> Any:
        before, after, u = advance((params, initial, still), h, slot)
        r = cell.read(params, before if cell.reads_previous else after, u)
        return after, (r, after if call.return_states else None)

    slots = _time_first((moving, call.starts, call.valid), axis)
    state, (reads, states) = fold(body, state, slots, length)
    reads = _time_back(reads, axis)
    return (state, reads, _time_back(states, axis)) if call.return_states else (state, reads)


def _associative(
    cell: Any, params: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int, length: int
) -> tuple[Any, ...]:  # fmt: skip
    states = _all_states(cell, params, inputs, state, initial, call, axis, length)
    return _results(cell, params, states, inputs, state, initial, call, axis)


def _newton(
    cell: Any, params: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int, length: int
) -> tuple[Any, ...]:  # fmt: skip
    leaves = tree_leaves(state)
    if not leaves or not all(is_floating(leaf) for leaf in leaves):
        # A count has no derivative.
        return _sequential(cell, params, inputs, state, initial, call, axis, length)
    moving, still, structure = _split(inputs, axis, length)
    constants = (params, initial, [_drop_time(leaf, axis) for leaf in still])
    advance = _advance(cell, structure)
    slots = _time_first((moving, call.starts, call.valid), axis)
    states = newton.all_states(
        lambda *args: advance(*args)[1], constants, state, slots, axis, length
    )
    states = _time_back(states, axis)
    return _results(cell, params, states, inputs, state, initial, call, axis)


def gated(
    cell: Any, params: Any, state: Any, inputs: Any, starts: Any, valid: Any
) -> tuple[Any, ...]:
    """The fused form of a `GatedCell`: ``(state, reads)``."""
    initial, call = cell.initial_state(params), Call(starts, valid)
    axis = tree_leaves(state)[0].ndim - tree_leaves(initial)[0].ndim
    length = max(leaf.shape[axis] for leaf in tree_leaves(inputs))
    initial = broadcast_like(initial, state)
    moving, still, structure = _split(inputs, axis, length)
    rest = (initial, [_drop_time(leaf, axis) for leaf in still])

    def enter(rest: Any, h: Any, slot: Any) -> Any:
        return resets.select(slot[1], rest[0], h)

    def update(rest: Any, h: Any, slot: Any, projected: Any) -> Any:
        moved, _, valid = slot
        after = cell.update(h, _join(moved, rest[1], structure), projected)
        return after if valid is None else resets.select(valid, after, h)

    slots = _time_first((moving, call.starts, call.valid), axis)
    functions = (enter, cell.project, update)
    states = _time_back(states_of_fold(functions, length, params, rest, state, slots), axis)
    return _results(cell, params, states, inputs, state, initial, call, axis)


def _results(
    cell: Any, params: Any, states: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int
) -> tuple[Any, ...]:  # fmt: skip
    """What a run returns, from the state after each step."""
    last = (slice(None),) * axis + (-1, ...)
    reads = _read_all(cell, params, states, inputs, state, initial, call, axis)
    result = (tree_map(lambda s: s[last], states), reads)
    return (*result, states) if call.return_states else result


def _all_states(
    cell: Any, params: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int, length: int
) -> Any:  # fmt: skip
    """The state after each step, by the parallel prefix of the reset-aware operator."""
    elements = cell.lift(params, inputs)
    batch = tree_leaves(state)[0].shape[:axis]

    def full(leaf: Any) -> Any:
        rest = leaf.shape[axis + 1 :]
        return namespace(leaf).broadcast_to(leaf, (*batch, length, *rest))

    op = resets.resettable(lambda a, b: cell.binary_op(params, a, b))
    flagged = (call.starts, call.valid, tree_map(full, elements))
    started, used, elements = associative_scan(op, flagged, axis)
    state, initial = (
        tree_map(lambda s: namespace(s).expand_dims(s, axis=axis), tree)
        for tree in (state, initial)
    )
    before = _from(started, initial, state)
    after = cell.act(params, before, elements)
    if used is None:
        return after
    before = tree_map(lambda a, b: namespace(a).broadcast_to(b, a.shape), after, before)
    return resets.select(used, after, before)


def _from(started: Any, initial: Any, state: Any) -> Any:
    """The state that a prefix acts on: the incoming one, or the initial one behind a start."""
    if started is None:
        return state

    def leaf(i: Any, s: Any) -> Any:
        return namespace(s).where(resets.align(started, s.ndim), i, s)

    return tree_map(leaf, initial, state)


def _read_all(
    cell: Any, params: Any, states: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int
) -> Any:  # fmt: skip
    if not cell.reads_previous:
        return cell.read(params, states, inputs)
    front = (slice(None),) * axis + (slice(0, -1), ...)

    def shift(first: Any, later: Any) -> Any:
        xp = namespace(later)
        return xp.concat([xp.expand_dims(first, axis=axis), later[front]], axis=axis)

    before = tree_map(shift, state, states)
    if call.starts is not None:
        fresh = tree_map(lambda i: namespace(i).expand_dims(i, axis=axis), initial)
        before = resets.select(call.starts, fresh, before)
    return cell.read(params, before, inputs)


def _chunked(
    cell: Any, params: Any, inputs: Any, state: Any, initial: Any, call: Call, axis: int, length: int,
    chunk_size: int,
) -> tuple[Any, ...]:  # fmt: skip
    chunks = -(-length // chunk_size)
    moving, still, structure = _split(inputs, axis, length)
    slots = tree_map(
        lambda leaf: into_chunks(leaf, axis, chunk_size),
        (moving, call.starts, call.valid),
    )
    # The last chunk may be padded: its outgoing state is the one before the padding.
    xp = namespace(tree_leaves(state)[0])
    last = [chunk_size - 1] * (chunks - 1) + [length - 1 - (chunks - 1) * chunk_size]
    last = asarray_like(xp.asarray(last, dtype=xp.int32), tree_leaves(state)[0])

    def body(h: Any, slot: Any) -> Any:
        (moved, starts, valid), end = slot
        u = _join(moved, still, structure)
        part = Call(starts, valid)
        states = _all_states(cell, params, u, h, initial, part, axis, chunk_size)
        reads = _read_all(cell, params, states, u, h, initial, part, axis)
        h = tree_map(lambda s: xp.squeeze(xp.take(s, end[None], axis=axis), axis=axis), states)
        return h, (reads, states if call.return_states else None)

    body = checkpoint(body, state)
    state, outs = fold(body, state, (slots, last), chunks)
    reads, states = tree_map(lambda leaf: out_of_chunks(leaf, axis, length), outs)
    return (state, reads, states) if call.return_states else (state, reads)
