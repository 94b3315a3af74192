"""The checks of what the functions of `memcore.ops` are given."""

from __future__ import annotations

import array_api_compat
import numpy as np

from memcore.backend import is_floating, namespace
from memcore.cell import Array
from memcore.engine.checks import as_array
from memcore.types import Value


def as_floats(name: str, x: Array, ndim: int, expected: str) -> Array:
    """``x`` as an array; raises for None, for fewer than ``ndim`` axes, for other than floating point
    numbers."""
    if x is None:
        raise TypeError(f"{name} is None, expected an array {expected}")
    x = as_array(x)
    if x.ndim < ndim:
        raise ValueError(f"{name} has shape {tuple(x.shape)}, expected {expected}")
    if not is_floating(x):
        raise TypeError(f"{name} has dtype {x.dtype}, expected floating point numbers")
    return x


def as_number(name: str, value: Value, instead: str = "") -> float:
    """A Python or NumPy number as a float: it is compiled in, so it is no array."""
    if isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool):
        return float(value)
    kind = "an array" if array_api_compat.is_array_api_obj(value) else repr(value)
    raise TypeError(f"{name} is {kind}, expected a Python number{instead}")


def as_scale(value: Value) -> float:
    """The factor of the queries, as a float."""
    return as_number("scale", value, "; multiply the queries instead")


def check_shape(name: str, x: Array, expected: tuple[int, ...], like: str) -> None:
    """Raise ValueError if ``x`` has another shape than expected."""
    if tuple(x.shape) != tuple(expected):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected {tuple(expected)} to match {like}"
        )


def in_front(name: str, x: Array, of: str, like: Array) -> Array:
    """``x`` with as many axes as ``like``, every one of them like's or 1."""
    x = as_floats(name, x, 0, str(tuple(like.shape)))
    shape = (1,) * (like.ndim - x.ndim) + tuple(x.shape)
    pairs = zip(shape, like.shape, strict=False)
    if len(shape) != like.ndim or any(n not in (1, m) for n, m in pairs):
        raise ValueError(
            f"{name} has shape {tuple(x.shape)}, expected one that broadcasts to {of} {tuple(like.shape)}"
        )
    return namespace(x).reshape(x, shape)
