"""How long one bad input is felt."""

from __future__ import annotations

import math

from memcore.backend import namespace
from memcore.cell import Model
from memcore.fields import is_count, is_number
from memcore.inspect.arguments import vectors
from memcore.types import Array, Params, Starts, State


def contamination(
    model: Model, params: Params, xs: Array, at: int, starts: Starts = None,
    *, outlier: float = 10.0, state: State = None,
) -> Array:  # fmt: skip
    """How much the outputs differ after one input out of the distribution.

    The input at ``at`` is multiplied by ``outlier``. POPGym Arcade (arXiv:2503.01450) calls it value smearing
    when one such observation is felt for long.

    Args:
        model: any `Model` of vectors or pictures.
        params: its parameters.
        xs: ``(..., T, in_features)``.
        at: the step of the outlier, 0 to T - 1.
        starts: ``(..., T)`` bool or None.
        outlier: factor of the input.
        state: what came before; the initial state if None.

    Returns:
        ``(..., T)``: the distance of the outputs with and without the outlier, over the root mean square norm
        of the outputs without; exactly 0 before ``at`` and behind the next start,
        infinite where outputs that were all 0 differ.

    Raises:
        TypeError, ValueError: an argument does not fit; the message names it.
    """
    xs, starts = vectors(model, xs, starts, "scale")
    xp, axis = namespace(xs), xs.ndim - model.input_ndim - 1
    if not is_count(at, 0) or at >= xs.shape[axis]:
        raise ValueError(f"at is {at!r}, expected a step of xs with shape {xs.shape}")
    if not is_number(outlier):
        raise ValueError(f"outlier is {outlier!r}, expected a number")
    here = xp.arange(xs.shape[axis]) == at
    here = here[(slice(None), *(None,) * model.input_ndim)]
    clean, dirty = (
        model.apply(params, x, state, starts=starts)[1]
        for x in (xs, xp.where(here, xs * outlier, xs))
    )
    features = tuple(range(axis + 1, clean.ndim))
    squares = [xp.sum(y * y, axis=features) if features else y * y for y in (dirty - clean, clean)]
    return _ratio(squares[0], xp.mean(squares[1], axis=-1, keepdims=True))


def _ratio(difference: Array, scale: Array) -> Array:
    """The root of their quotient; beside outputs that are all 0, any difference is infinite."""
    xp = namespace(difference)
    silent, scale = scale == 0, xp.where(scale == 0, xp.ones_like(scale), scale)
    infinite = xp.full_like(difference, math.inf)
    return xp.where(silent & (difference > 0), infinite, xp.sqrt(difference / scale))
