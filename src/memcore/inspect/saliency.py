"""How much each input counts for each output."""

from __future__ import annotations

from memcore.cell import Model
from memcore.inspect.arguments import vectors
from memcore.types import Array, Params, Starts, State


def saliency(
    model: Model, params: Params, xs: Array, starts: Starts = None, *, state: State = None
) -> Array:
    """The norms of the Jacobians ``dy_t / dx_s``: how much input s counts for output t.

    Entries are 0 for later inputs (of a causal model) and across starts. One backward pass for each number in
    the outputs; meant for a few sequences of some hundred steps.

    Args:
        model: any `Model` of vectors or pictures; tokens have no derivative.
        params: its parameters.
        xs: ``(..., T, in_features)``.
        starts: ``(..., T)`` bool or None.
        state: what came before; the initial state if None.

    Returns:
        ``(..., T, T)``, a JAX array: ``[..., t, s]`` is the Frobenius norm of ``dy_t / dx_s``, and NaN where
        ``y_t`` is no number.

    Raises:
        TypeError, ValueError: an argument does not fit; the message names it.
        ImportError: JAX is not installed.
    """
    xs, starts = vectors(model, xs, starts, "derivative")
    try:
        from memcore.inspect._jax import jacobian_norms
    except ImportError as error:
        raise ImportError('saliency needs JAX: pip install "memcore[jax]"') from error
    return jacobian_norms(model, params, xs, starts, state)
