"""How far back a memory reaches."""

from __future__ import annotations

import math

from memcore.backend import is_floating, namespace
from memcore.engine.checks import as_array
from memcore.fields import is_number
from memcore.types import Array


def effective_length(saliency: Array, share: float = 0.9) -> Array:
    """How many of the latest inputs hold ``share`` of what counts for an output, on average over the outputs.

    1 for a model without memory; at most W for a window of W steps; about T / 2 where an output weighs all
    inputs before it alike, on sequences of T steps. It is a property of model and data: on short sequences,
    or with many starts, it is short.

    Args:
        saliency: ``(..., T, T)`` from `saliency`.
        share: between 0 and 1.

    Returns:
        ``(...)`` floats, in steps; outputs for which nothing counts are left out. NaN where the saliency
        has a NaN.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    if not is_number(share) or not 0 < share <= 1:
        raise ValueError(f"share is {share!r}, expected a number above 0 and at most 1")
    saliency = as_array(saliency, "saliency")
    if saliency is None or not is_floating(saliency):
        raise TypeError(f"saliency is {saliency!r}, expected floats (..., T, T)")
    if saliency.ndim < 2 or saliency.shape[-1] != saliency.shape[-2]:
        raise ValueError(f"saliency has shape {saliency.shape}, expected (..., T, T)")
    xp = namespace(saliency)
    steps = xp.arange(saliency.shape[-1])
    ahead = steps[None, :] > steps[:, None]
    past = xp.where(ahead, xp.zeros_like(saliency), saliency)
    total = xp.sum(past, axis=-1, keepdims=True)
    # From the latest input backwards: how much is held by those behind the one at s.
    held = xp.flip(xp.cumulative_sum(xp.flip(past, axis=-1), axis=-1), axis=-1) - past
    needed = xp.astype(~ahead & (held < share * total), saliency.dtype)
    counts, some = xp.sum(needed, axis=-1), xp.astype(total[..., 0] > 0, saliency.dtype)
    mean = xp.sum(counts * some, axis=-1) / xp.clip(xp.sum(some, axis=-1), 1)
    broken = xp.any(xp.isnan(saliency), axis=(-2, -1))
    return xp.where(broken, xp.full_like(mean, math.nan), mean)
