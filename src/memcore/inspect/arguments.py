"""What the functions of this package are given."""

from __future__ import annotations

from memcore.cell import Model
from memcore.engine.checks import as_array, as_booleans, check_inputs, check_model
from memcore.types import Array, Starts


def vectors(model: Model, xs: Array, starts: Starts, lacks: str) -> tuple[Array, Starts]:
    """``xs`` and ``starts`` as arrays, looked at before a transformation hides their values.

    Raises:
        TypeError: ``model`` is no model, or reads tokens, which have no such thing as ``lacks``; an
            argument is of the wrong kind.
        ValueError: ``xs`` has the wrong shape, or ``starts`` other values than 0 and 1.
    """
    check_model(model)
    xs = as_array(xs, "xs")
    if model.input_ndim == 0:
        raise TypeError(f"model is {model!r}, which reads tokens: a token has no {lacks}")
    xs = check_inputs(model, xs)
    [starts] = as_booleans(starts=starts)
    return xs, starts
