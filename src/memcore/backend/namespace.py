"""Which library an array belongs to, its dtypes, and moving constants into it."""

from __future__ import annotations

import functools
import sys

import array_api_compat
import numpy as np

from memcore.backend.tree import tree_leaves, tree_map
from memcore.types import Array, Dtype, Namespace, Tree

_OF_NUMPY = array_api_compat.array_namespace(np.zeros(()))
_met: set[type] = {np.ndarray}
"""Classes of arrays whose namespace array_api_compat knows."""


def namespace(*arrays: Array) -> Namespace:
    """The array-API namespace that the arrays share."""
    # A step on NumPy asks dozens of times. A void dtype may be one of JAX's gradients of integers.
    for x in arrays:
        if type(x) is not np.ndarray or x.dtype.kind == "V":
            for y in arrays:
                if type(y) not in _met:
                    _meet(y)
            return array_api_compat.array_namespace(*arrays)
    return _OF_NUMPY if arrays else array_api_compat.array_namespace()


def _meet(x: Array) -> None:
    """array_api_compat makes an array to find the namespace of a class of JAX's, which moves a zero from the
    host: not what a `jax.transfer_guard` around a first run is there to find."""
    if is_jax(x):
        from memcore.backend import jax_functions

        jax_functions.moving(lambda: array_api_compat.array_namespace(x))
    _met.add(type(x))


def is_jax(*trees: Tree) -> bool:
    """Whether any leaf of the trees is a JAX array (or tracer). Never imports JAX."""
    if "jax" not in sys.modules:
        return False
    return any(array_api_compat.is_jax_array(leaf) for leaf in tree_leaves(trees))


def is_floating(x: Array) -> bool:
    """Whether ``x`` is an array of real floating point numbers."""
    return _has_kind(x, "real floating")


def is_integer(x: Array) -> bool:
    """Whether ``x`` is an array of integers (booleans are not)."""
    return _has_kind(x, "integral")


def is_bool(x: Array) -> bool:
    """Whether ``x`` is an array of booleans."""
    return _has_kind(x, "bool")


def _has_kind(x: Array, kind: str) -> bool:
    return _dtype_has_kind(namespace(x), x.dtype, kind)


@functools.lru_cache(maxsize=256)
def _dtype_has_kind(xp: Namespace, dtype: Dtype, kind: str) -> bool:
    if is_bfloat16(dtype):
        return kind == "real floating"
    if getattr(dtype, "kind", "") == "V" and array_api_compat.is_numpy_namespace(xp):
        return False  # ml_dtypes' others, with which NumPy does not calculate as with floats
    return bool(xp.isdtype(dtype, kind))


def is_bfloat16(dtype: Dtype) -> bool:
    """Whether a dtype is bfloat16, which is ml_dtypes' and unknown to NumPy's own questions."""
    # A name is dear to make: of NumPy's dtypes only those of no kind of its own are asked for it.
    return getattr(dtype, "kind", "V") == "V" and str(dtype) == "bfloat16"


def floating_dtype(argument: str, dtype: Dtype) -> np.dtype:
    """A dtype of floating point numbers, by its name or itself, as NumPy has it.

    Raises:
        TypeError: it is none.
    """
    if isinstance(dtype, str) and dtype == "bfloat16":
        _know_bfloat16(argument)
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"{argument} is {dtype!r}, expected a floating point dtype") from error
    # np.dtype(None) is float64.
    if dtype is None or not (found.kind == "f" or found.name == "bfloat16"):
        raise TypeError(f"{argument} is {dtype!r}, expected a floating point dtype")
    return found


def _know_bfloat16(argument: str) -> None:
    """NumPy knows the name once the package has been imported."""
    try:
        import ml_dtypes  # noqa: F401
    except ImportError as error:
        raise TypeError(
            f"{argument} is 'bfloat16', which NumPy has with the package ml_dtypes only"
        ) from error


def dtype_of(argument: str, dtype: Dtype, xp: Namespace) -> Dtype:
    """A dtype of floating point numbers, by its name or itself, as an array library has it.

    Raises:
        TypeError: it is none, or the library does not have it.
    """
    if array_api_compat.is_numpy_namespace(xp):
        return floating_dtype(argument, dtype)
    # What the library has of its own needs no package that would teach it to NumPy.
    named = isinstance(dtype, str) and dtype == "bfloat16"
    name = "bfloat16" if named else floating_dtype(argument, dtype).name
    if not hasattr(xp, name):
        raise TypeError(f"{argument} is {name!r}, which {xp.__name__} does not have")
    return getattr(xp, name)


@functools.lru_cache(maxsize=256)
def state_dtype(xp: Namespace, dtype: Dtype) -> Dtype:
    """The dtype of states and gates for inputs of ``dtype``: half precision is kept in float32."""
    return xp.float32 if is_bfloat16(dtype) or xp.finfo(dtype).bits < 32 else dtype


def cast(x: Array, dtype: Dtype) -> Array:
    """``x`` in a dtype of its library; itself where that is its own."""
    return x if x.dtype == dtype else namespace(x).astype(x, dtype)


def asarray_like(x: Array, like: Array) -> Array:
    """``x`` in the library of ``like`` and, for floating point numbers, with its dtype."""
    xp = namespace(like)
    if not array_api_compat.is_array_api_obj(x):
        x = np.asarray(x)
    if array_api_compat.is_numpy_array(x) and not array_api_compat.is_numpy_array(like):
        x = xp.asarray(x)
    if is_floating(x) and is_floating(like):
        x = xp.astype(x, like.dtype, copy=False)
    return x


def broadcast_like(tree: Tree, like: Tree) -> Tree:
    """The leaves of ``tree`` in the libraries, dtypes, shapes and places of those of ``like``."""

    def leaf(x: Array, y: Array) -> Tree:
        x = namespace(y).broadcast_to(asarray_like(x, y), y.shape)
        if not is_jax(y):
            return x
        from memcore.backend import jax_placement

        return jax_placement.placed(x, y, y.ndim)

    return tree_map(leaf, tree, like)


def to_numpy(x: Array) -> np.ndarray:
    """``x`` as a NumPy array (from the device, if it lies on one)."""
    return np.asarray(x)


def device_kind(x: Array) -> str:
    """``"numpy"`` for NumPy and the strict reference, else JAX's platform: ``cpu``, ``gpu`` or ``tpu``."""
    if not is_jax(x):
        return "numpy"
    from memcore.backend import jax_functions

    return jax_functions.platform(x)
