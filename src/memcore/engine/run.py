"""Running a model over a sequence, and what surrounds every run."""

from __future__ import annotations

from typing import Any

from memcore.backend import (
    as_key,
    compiled,
    is_floating,
    namespace,
    tree_leaves,
    tree_map,
)
from memcore.engine import methods, resets
from memcore.engine.call import Call
from memcore.engine.checks import (
    as_array,
    check_derivatives,
    check_flags,
    check_inputs,
    check_method,
    check_params,
    check_state,
)
from memcore.engine.state import compute_dtype, initial_like


def run_model(model: Any, params: Any, xs: Any, state: Any, call: Call) -> tuple[Any, ...]:
    """Check, contain what is not finite, and run; on JAX inside one module-level ``jax.jit``."""
    check_method(model, call.method, call.chunk_size, call.return_states)
    statics = (model, call.method, call.chunk_size, call.return_states)
    xs, starts, valid = (as_array(x) for x in (xs, call.starts, call.valid))
    check_derivatives(model, call.method, (params, xs, state, starts, valid))
    key = None if call.key is None else as_key(call.key, (params, xs))
    return explained(run_checked, model, statics, (params, xs, state, starts, valid, key))


def explained(run: Any, model: Any, statics: tuple[Any, ...], args: tuple[Any, ...]) -> Any:
    """Run; what goes wrong because the parameters are another model's is said in these words."""
    try:
        return compiled(run, statics, args)
    except Exception:
        check_params(model, args[0])
        raise


def run_checked(
    model: Any, method: str, chunk_size: int | None, return_states: bool,
    params: Any, xs: Any, state: Any, starts: Any, valid: Any, key: Any,
) -> tuple[Any, ...]:  # fmt: skip
    xs = check_inputs(model, xs)
    shape = xs.shape[: xs.ndim - model.input_ndim]
    batch, length = shape[:-1], shape[-1]
    starts = check_flags("starts", starts, xs, shape)
    valid = check_flags("valid", valid, xs, shape)
    initial = initial_like(model, params, xs, batch)
    state = initial if state is None else check_state(state, initial, xs, len(batch))
    if length == 0:
        return _nothing(model, params, xs, state, batch, return_states)
    causal = model.causal and bool(tree_leaves(state))
    xs, state, wrong = resets.contain(xs, state, initial, starts, valid, len(batch), causal)
    call = Call(starts, valid, method, chunk_size, key, return_states)
    state, ys, *states = model._apply(params, xs, state, call)
    if valid is not None:
        ys = resets.select(valid, ys, namespace(ys).zeros_like(ys))
    if wrong is None:
        return (state, ys, *states)
    return (
        resets.poison(wrong[..., -1], state),
        resets.poison(wrong if valid is None else wrong & valid, ys),
        *(resets.poison(wrong, s) for s in states),
    )


def _nothing(
    model: Any, params: Any, xs: Any, state: Any, batch: tuple[int, ...], return_states: bool
) -> tuple[Any, ...]:
    """A sequence of length 0: the state unchanged, and empty outputs."""
    xp = namespace(xs)
    ys = xp.zeros((*batch, 0, model.out_features), dtype=compute_dtype(model, params, xs))
    if not return_states:
        return state, ys
    n = len(batch)
    empty = tree_map(lambda s: xp.zeros((*batch, 0, *s.shape[n:]), dtype=s.dtype), state)
    return state, ys, empty


def scan(
    cell: Any,
    params: Any,
    xs: Any,
    state: Any = None,
    *,
    starts: Any = None,
    valid: Any = None,
    method: str = "auto",
    chunk_size: int | None = None,
    return_states: bool = False,
) -> tuple[Any, ...]:
    """Run a cell over a sequence.

    Args:
        cell: a `Cell` (any `Model` without ``return_states``).
        params: its parameters.
        xs: ``(..., T, in_features)``; ints ``(..., T)`` for a model of tokens.
        state: where the sequence continues from, leaves ``(..., *leaf)``; None begins afresh.
        starts: ``(..., T)`` bool: before ``x_t`` is used, the state becomes the initial one.
        valid: ``(..., T)`` bool: other steps are padding; they leave the state as it is, and their
            outputs are 0. A start on such a step still counts.
        method: ``"auto"``, or one of ``cell.methods`` (``"newton"`` on JAX). Forward mode (``jax.jvp``)
            needs ``"sequential"``: some others have gradients of their own.
        chunk_size: steps per chunk of ``chunked`` (64 if None) and of ``fused`` (what ``auto`` chooses
            if None).
        return_states: whether to return the state after each step as well; not with ``fused``.

    Returns:
        ``(state, ys)``, the last state and ``ys (..., T, out_features)``; with ``return_states``
        ``(state, ys, states)``, whose leaves are ``(..., T, *leaf)``.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    call = Call(starts, valid, method, chunk_size, None, return_states)
    return run_model(cell, params, xs, state, call)


def run_cell(cell: Any, params: Any, xs: Any, state: Any, call: Call) -> tuple[Any, ...]:
    """``embed``, the recurrence by the chosen method, ``output``."""
    inputs = cell.embed(params, xs)
    shape = xs.shape[: xs.ndim - cell.input_ndim]
    state, reads, *states = methods.recur(cell, params, inputs, state, call, shape)
    dtype = compute_dtype(cell, params, xs)
    xp = namespace(xs)
    reads = tree_map(lambda r: xp.astype(r, dtype, copy=False) if is_floating(r) else r, reads)
    ys = cell.output(params, reads, inputs)
    return (state, xp.astype(ys, dtype, copy=False), *states)
