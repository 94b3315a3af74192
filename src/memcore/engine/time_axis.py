"""Time on another axis than the last of the batch's: rollouts are often ``(T, B, ...)``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memcore.backend import namespace
from memcore.engine.checks import as_array, as_booleans
from memcore.fields import is_count
from memcore.types import Array, Starts

if TYPE_CHECKING:
    from memcore.cell import Model


def to_last(
    model: Model, xs: Array, starts: Starts, valid: Array, axis: int
) -> tuple[Array, Starts, Array]:
    """Inputs and flags with time moved behind the batch axes."""
    xs, (starts, valid) = as_array(xs, "xs"), as_booleans(starts=starts, valid=valid)
    axes = xs.ndim - model.input_ndim
    if xs.ndim < model.input_ndim + 1:
        raise ValueError(f"xs has shape {xs.shape}, expected an axis of time at {axis}")
    if not is_count(axis, 0) or axis >= axes:
        raise ValueError(
            f"time_axis is {axis!r}, expected 0 to {axes - 1} for xs of shape {xs.shape}"
        )
    for name, flags in (("starts", starts), ("valid", valid)):
        if flags is not None and flags.ndim != axes:
            raise ValueError(f"{name} has shape {flags.shape}, expected {xs.shape[:axes]} as xs")
    moved = [
        x if x is None else namespace(x).moveaxis(x, axis, axes - 1) for x in (xs, starts, valid)
    ]
    return moved[0], moved[1], moved[2]


def from_last(model: Model, ys: Array, axis: int) -> Array:
    """Outputs with time where the inputs had it."""
    return namespace(ys).moveaxis(ys, ys.ndim - model.output_ndim - 1, axis)
