"""Arguments whose values matter: what may be said of them, and when they are known."""

from __future__ import annotations

import sys

import array_api_compat
import numpy as np

from memcore.backend.namespace import is_bool, is_floating, is_integer, is_jax, namespace
from memcore.types import Array


def plain(name: str, x: Array, expected: str) -> Array:
    """``x`` itself if it is an array, else a NumPy array of it (numbers, lists).

    Raises:
        TypeError: it is None or a masked array, or no array can be made of it.
    """
    if x is None or np.ma.isMaskedArray(x):
        came = "None" if x is None else "a masked array"
        raise TypeError(f"{name} is {came}, expected {expected}")
    if array_api_compat.is_array_api_obj(x) and not isinstance(x, np.generic):
        return (
            np.asarray(x) if isinstance(x, np.ndarray) else x
        )  # a numpy.matrix has rules of its own
    try:
        return np.asarray(x)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is a {type(x).__name__}, expected {expected}: {error}") from error


def known(x: Array) -> np.ndarray | None:
    """The values of an array; None where they are not known: inside JAX's transformations, or on
    other machines."""
    if not is_jax(x):
        return np.asarray(x)
    import jax

    if isinstance(x, jax.core.Tracer) or not x.is_fully_addressable:
        return None
    return np.asarray(jax.device_get(x))


def is_symbolic(x: object) -> bool:
    """Whether ``x`` is a dimension that ``jax.export`` leaves open."""
    export = sys.modules.get("jax.export")
    return export is not None and bool(export.is_symbolic_dim(x))


def as_flags(name: str, x: Array) -> Array:
    """``x`` as booleans: booleans, or integers or floats that are 0 and 1, as simulators give them.

    Raises:
        TypeError: ``x`` is of another kind.
        ValueError: a value is neither 0 nor 1 (looked for where the values are known).
    """
    x = plain(name, x, "booleans")
    if is_bool(x):
        return x
    if not (is_integer(x) or is_floating(x)):
        raise TypeError(f"{name} has dtype {x.dtype}, expected bool, or numbers that are 0 and 1")
    values = known(x)
    if values is not None:
        wrong = values[(values != 0) & (values != 1)]
        if wrong.size:
            raise ValueError(f"{name} has the value {wrong[0]}, expected only 0 and 1")
    return namespace(x).not_equal(x, namespace(x).zeros_like(x))
