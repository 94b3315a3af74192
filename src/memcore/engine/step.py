"""Running a model for one time step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memcore.backend import compiled, namespace
from memcore.engine.checks import (
    as_array,
    as_arrays,
    as_booleans,
    check_flags,
    check_inputs,
    check_model,
)
from memcore.engine.parameters import checked_params
from memcore.engine.parts import signature
from memcore.engine.run import run_checked
from memcore.engine.stepper import leave_plan, run_planned
from memcore.types import Array, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model


def step(
    model: Model, params: Params, state: State, x: Array, *, start: Array = None
) -> tuple[State, Array]:
    """One time step.

    On NumPy what fitted in a step before, parameters among it, is not looked at in full again: the same
    arrays in the same places.

    Args:
        model: any `Model`.
        params: its parameters.
        state: leaves ``(..., *leaf)``; ``memcore.initial_state(model, params, batch_shape)`` to begin with.
        x: ``(..., in_features)``; ints ``(...)`` for a model of tokens.
        start: ``(...)`` bool or None: whether ``x`` is the first input of a new sequence.

    Returns:
        ``(state, y)`` with ``y (..., out_features)``.

    Raises:
        ValueError, TypeError: an argument does not fit, or the model is not causal.
    """
    check_model(model)
    found = run_planned(model, params, state, x, start)
    if found is not None:
        return found
    if not model.causal:
        raise ValueError(f"model is {model!r}, expected a causal one: it needs the whole sequence")
    x, [start] = check_inputs(model, as_array(x, "x"), "x", "..."), as_booleans(start=start)
    state = as_arrays(state, "state")
    params = checked_params(model, params)
    result = compiled(_step, (model, signature(model)), (params, state, x, start))
    leave_plan(model, params, x)
    return result


def _step(
    model: Model, code: Tree, params: Params, state: State, x: Array, start: Array
) -> tuple[State, Array]:
    axis = x.ndim - model.input_ndim
    batch = x.shape[:axis]
    xs = namespace(x).expand_dims(x, axis=axis)
    start = check_flags("start", start, x, batch, "x", 0)
    starts = None if start is None else start[..., None]
    args = (params, xs, state, starts, None, None)
    state, ys = run_checked(model, code, "auto", None, False, None, *args)
    return state, ys[(slice(None),) * axis + (0, ...)]
