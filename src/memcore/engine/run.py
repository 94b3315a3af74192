"""Running a model over a sequence, and what surrounds every run."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from memcore.backend import (
    as_draw,
    as_key,
    cast,
    common_axes,
    compiled,
    fold,
    is_floating,
    namespace,
    of_last,
    placed_like,
    tree_leaves,
    tree_map,
)
from memcore.engine import resets
from memcore.engine.call import Call
from memcore.engine.checks import (
    as_array,
    as_arrays,
    as_booleans,
    check_derivatives,
    check_flags,
    check_inputs,
    check_library,
    check_method,
    check_model,
    check_state,
)
from memcore.engine.chunking import into_chunks, out_of_chunks
from memcore.engine.grid import common_phase, first_place, with_phase
from memcore.engine.methods import recur
from memcore.engine.parameters import checked_params
from memcore.engine.parts import Parts, signature
from memcore.engine.pieces import spoiled
from memcore.engine.recurrence import Recurrence
from memcore.engine.single import without_batch
from memcore.engine.state import compute_dtype, memory_like
from memcore.engine.time_axis import from_last, to_last
from memcore.types import Array, Key, Params, Starts, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Cell, Model


def run_model(
    model: Model, params: Params, xs: Array, state: State, call: Call, time_axis: int | None = None
) -> tuple[Tree, ...]:
    """Check, contain what is not finite, and run; on JAX inside one module-level ``jax.jit``."""
    check_model(model)
    if time_axis is not None:
        xs, starts, valid = to_last(model, xs, call.starts, call.valid, time_axis)
        call = replace(call, starts=starts, valid=valid)
        state, ys, *states = run_model(model, params, xs, state, call)
        return (state, from_last(model, ys, time_axis), *states)
    check_method(model, call.method, call.chunk_size, call.return_states)
    params = checked_params(model, params)
    how = (call.method, call.chunk_size, call.return_states, call.axis_name)
    statics = (model, signature(model), *how)
    starts, valid = as_booleans(starts=call.starts, valid=call.valid)
    xs, state = as_array(xs, "xs"), as_arrays(state, "state")
    check_derivatives(model, call.method, (params, xs, state, starts, valid))
    key = None if call.key is None else as_key(call.key, (params, xs))
    return compiled(run_checked, statics, (params, xs, state, starts, valid, key))


def run_checked(
    model: Model, code: Tree, method: str, chunk_size: int | None, return_states: bool | int,
    axis_name: str | None, params: Params, xs: Array, state: State, starts: Starts, valid: Array,
    key: Key,
) -> tuple[Tree, ...]:  # fmt: skip
    """A run of arguments whose method is known to be one of the model's."""
    xs = check_inputs(model, xs)
    check_library(params, xs)
    params, xs, state, starts, valid = common_axes((params, xs, state, starts, valid))
    shape = xs.shape[: xs.ndim - model.input_ndim]
    batch, length = shape[:-1], shape[-1]
    starts = check_flags("starts", starts, xs, shape)
    valid = check_flags("valid", valid, xs, shape)
    fresh = memory_like(model, params, xs, batch, compute_dtype(model, params, xs))
    fresh = placed_like(fresh, xs, len(batch))
    phase, differs = None, None
    if model.grid > 1:
        whole = with_phase(fresh, 0, batch, xs)
        whole = whole if state is None else check_state(state, whole, xs, len(batch))
        phase, differs = common_phase(whole["phase"], model.grid)
        memory = fresh if state is None else whole["memory"]
    else:
        memory = fresh if state is None else check_state(state, fresh, xs, len(batch))
    call = Call(starts, valid, method, chunk_size, key, bool(return_states), phase, axis_name)
    given = (model, params, xs, memory, fresh, call)
    memory, ys, *states = without_batch(_contained, *given, return_states)
    if model.grid > 1:
        ahead = (whole["phase"] + length) % model.grid
        memory = with_phase(memory, ahead, batch, xs)
        states = [_with_phases(model, whole["phase"], s, xs, length, return_states) for s in states]
    if axis_name is not None:
        memory = of_last(memory, axis_name)
    if differs is not None:
        memory, states = resets.poison(differs, (memory, states))
        ys = resets.poison(namespace(xs).broadcast_to(differs[..., None], shape), ys)
    return (memory, ys, *states)


def _with_phases(
    model: Model, phase: Array, states: State, like: Array, length: int, every: bool | int
) -> Tree:
    """States on the way as whole states: a run can go on from any of them."""
    xp, n = namespace(like), int(every)
    ends = (xp.arange(length // n, dtype=xp.int32) + 1) * n
    return {"phase": (phase[..., None] + ends) % model.grid, "memory": states}


def _contained(
    model: Model,
    params: Params,
    xs: Array,
    memory: State,
    fresh: State,
    call: Call,
    every: bool | int,
) -> tuple[Tree, ...]:
    """A run in which what is not finite stays in its segment."""
    starts, valid = call.starts, call.valid
    batch_ndim = xs.ndim - model.input_ndim - 1
    if xs.shape[batch_ndim] == 0:
        return _nothing(model, params, xs, memory, batch_ndim, bool(every))
    if valid is not None:  # padding may hold anything: ids of -100, numbers that overflow
        xs = resets.select(valid, xs, namespace(xs).zeros_like(xs))
    causal = model.causal and bool(tree_leaves(memory))
    arrives = None
    if call.axis_name is not None:
        arrives = partial(spoiled, starts=starts, axis_name=call.axis_name)
    xs, memory, wrong = resets.contain(
        xs, memory, fresh, starts, valid, batch_ndim, causal, model.in_features, arrives
    )
    memory, ys, *states = _with_states(model, params, xs, memory, call, every)
    if valid is not None:
        ys = resets.select(valid, ys, namespace(ys).zeros_like(ys))
    if wrong is None:
        return (memory, ys, *states)
    n = int(every)
    return (
        resets.poison(wrong[..., -1], memory),
        resets.poison(wrong if valid is None else wrong & valid, ys),
        *(resets.poison(wrong[..., n - 1 :: n], s) for s in states),
    )


def _with_states(
    model: Model, params: Params, xs: Array, memory: State, call: Call, every: bool | int
) -> tuple[Tree, ...]:
    """A run, and the states after every ``every`` steps: of a single cell its own, else run by pieces."""
    initial = model.initial_state(params)
    axis, n = xs.ndim - model.input_ndim - 1, int(every)
    length = xs.shape[axis]
    if not n:
        return model._apply(params, xs, memory, initial, call)[:2]
    if n == 1 and model.single and length > 1:
        return model._apply(params, xs, memory, initial, call)

    def piece(memory: State, slot: Tree) -> Tree:
        xs, starts, valid, i = slot
        phase = None if call.phase is None else (call.phase + i * n) % model.grid
        key = None if call.key is None else as_draw(call.key).at(i)
        how = Call(starts, valid, call.method, call.chunk_size, key, False, phase)
        memory, ys = model._apply(params, xs, memory, initial, how)[:2]
        return memory, (ys, memory)

    return _by_pieces(piece, memory, (xs, call.starts, call.valid), axis, length, n)


def _by_pieces(
    piece: Tree, memory: State, moving: Tree, axis: int, length: int, n: int
) -> tuple[Tree, ...]:
    """Run pieces of ``n`` steps, and what is left over; the states after each whole piece."""
    count, xp = length // n, namespace(moving[0])

    def cut(start: int, stop: int) -> Tree:
        return tree_map(lambda x: x[(slice(None),) * axis + (slice(start, stop), ...)], moving)

    outs = []
    if count:
        slots = tree_map(lambda x: into_chunks(x, axis, n), cut(0, count * n))
        number = xp.arange(count, dtype=xp.int32)
        memory, (ys, states) = fold(piece, memory, (*slots, number), count)
        outs.append(out_of_chunks(ys, axis, count * n))
        states = tree_map(lambda s: namespace(s).moveaxis(s, 0, axis), states)
    else:
        states = tree_map(lambda s: _empty(s, axis), memory)
    if length > count * n:
        memory, (ys, _) = piece(memory, (*cut(count * n, length), count))
        outs.append(ys)
    return memory, (outs[0] if len(outs) == 1 else xp.concat(outs, axis=axis)), states


def _empty(leaf: Array, axis: int) -> Tree:
    """No state at all: ``(*batch, 0, *leaf)``."""
    xp = namespace(leaf)
    return xp.zeros((*leaf.shape[:axis], 0, *leaf.shape[axis:]), dtype=leaf.dtype)


def _nothing(
    model: Model, params: Params, xs: Array, memory: State, axis: int, states: bool
) -> tuple[Tree, ...]:
    """A sequence of length 0: the state unchanged, and empty outputs, as long as those of one step."""
    xp, batch = namespace(xs), xs.shape[:axis]
    if model.output_ndim == 1:
        own: tuple[int, ...] = (model.out_features,)
    elif model.output_ndim == 0:
        own = ()
    else:
        one = xp.zeros((1, *xs.shape[axis + 1 :]), dtype=xs.dtype)
        initial = model.initial_state(params)
        fresh = memory_like(model, params, xs, (), compute_dtype(model, params, xs))
        call = Call(phase=first_place(model.grid, xs))
        own = model._apply(params, one, fresh, initial, call)[1].shape[1:]
    ys = xp.zeros((*batch, 0, *own), dtype=compute_dtype(model, params, xs))
    if not states:
        return memory, ys
    return memory, ys, tree_map(lambda s: _empty(s, axis), memory)


def run_cell(
    cell: Cell, params: Params, xs: Array, state: State, initial: State, call: Call
) -> tuple[Tree, ...]:
    """``embed``, the recurrence by the chosen method, ``output``."""
    inputs = cell.embed(params, xs)
    late = xs if cell.embeds_late and call.key is None else None
    if call.key is not None:
        inputs = cell.perturb(params, inputs, as_draw(call.key))
    if call.watch is not None:
        call.watch(cell, params, inputs)
    shape = xs.shape[: xs.ndim - cell.input_ndim]
    state, reads, *states = recur(
        Recurrence(cell, params, inputs, state, initial, call, shape, late)
    )
    dtype = compute_dtype(cell, params, xs)
    reads = tree_map(lambda r: cast(r, dtype) if is_floating(r) else r, reads)
    ys = cell.output(params, reads, inputs)
    return (state, cast(ys, dtype), *states)


def run_composite(
    model: Model, params: Params, xs: Array, state: State, initial: State, call: Call
) -> tuple[Tree, Tree]:
    """A model that runs its declared parts by name."""
    run = Parts(model, state, initial, call)
    ys = model.run_parts(params, xs, run)
    # NumPy's bfloat16 times a Python number is float32.
    ys = cast(ys, compute_dtype(model, params, xs)) if is_floating(ys) else ys
    return run.finish(), ys


def scan(
    model: Model,
    params: Params,
    xs: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    method: str = "auto",
    chunk_size: int | None = None,
    return_states: bool | int = False,
    time_axis: int | None = None,
) -> tuple[Tree, ...]:
    """Run a model over a sequence, and keep states on the way if asked.

    Args:
        model: any `Model`.
        params: its parameters.
        xs: ``(..., T, in_features)``; ints ``(..., T)`` for a model of tokens.
        state: where the sequence continues from, leaves ``(..., *leaf)``; None begins afresh.
        starts: ``(..., T)`` bool: before ``x_t`` is used, the state becomes the initial one.
        valid: ``(..., T)`` bool: other steps are padding; they leave the state as it is, and their
            outputs are 0. A start on such a step still counts.
        method: ``"auto"``, or one of ``model.methods`` (``"newton"`` on JAX). Forward mode (``jax.jvp``)
            needs ``"sequential"``: some others have gradients of their own.
        chunk_size: steps per chunk of ``chunked`` (64 if None) and of ``fused`` (what ``auto`` chooses
            if None).
        return_states: whether to return states as well: True after each step, n after steps n, 2n, ...
            With True not by ``fused``, which keeps none (a linear recurrence does).
        time_axis: where ``xs``, ``starts``, ``valid`` and ``ys`` have time, 0 for ``(T, B, ...)``; None is
            behind the batch axes. States have the batch axes alone, and then their time.

    Returns:
        ``(state, ys)``, the last state and ``ys (..., T, out_features)``; with ``return_states``
        ``(state, ys, states)``, whose leaves are ``(..., T // n, *leaf)``.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    call = Call(starts, valid, method, chunk_size, None, return_states)  # type: ignore[arg-type]
    return run_model(model, params, xs, state, call, time_axis)
