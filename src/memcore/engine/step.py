"""Running a model for one time step."""

from __future__ import annotations

from typing import Any

from memcore.backend import namespace
from memcore.engine.checks import as_array, check_flags, check_inputs
from memcore.engine.run import explained, run_checked


def step(model: Any, params: Any, state: Any, x: Any, *, start: Any = None) -> tuple[Any, Any]:
    """One time step.

    Args:
        model: any `Model`.
        params: its parameters.
        state: leaves ``(..., *leaf)``; ``model.initial_state(params)`` to begin with.
        x: ``(..., in_features)``; ints ``(...)`` for a model of tokens.
        start: ``(...)`` bool or None: whether ``x`` is the first input of a new sequence.

    Returns:
        ``(state, y)`` with ``y (..., out_features)``.

    Raises:
        ValueError, TypeError: an argument does not fit, or the model is not causal.
    """
    if not model.causal:
        raise ValueError(f"model is {model!r}, expected a causal one: it needs the whole sequence")
    x, start = check_inputs(model, as_array(x), "x", "..."), as_array(start)
    return explained(_step, model, (model,), (params, state, x, start))


def _step(model: Any, params: Any, state: Any, x: Any, start: Any) -> tuple[Any, Any]:
    batch = x.shape[: x.ndim - model.input_ndim]
    xs = namespace(x).expand_dims(x, axis=len(batch))
    start = check_flags("start", start, x, batch, "x", 0)
    starts = None if start is None else start[..., None]
    args = (params, xs, state, starts, None, None)
    state, ys = run_checked(model, "auto", None, False, *args)
    return state, ys[..., 0, :]
