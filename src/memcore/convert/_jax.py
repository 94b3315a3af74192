"""Modules that are trees to JAX: those of Equinox and NNX, and Flax's states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax

from memcore.types import Array, Tree


def leaves(tree: Tree) -> Iterator[tuple[tuple[str, ...], Array]]:
    """Floating point arrays and the names on the way to them."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        if jax.dtypes.issubdtype(getattr(leaf, "dtype", bool), jax.numpy.inexact):
            yield _names(path), leaf


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """The names of attributes and keys; the place in a sequence goes with the name before it."""
    names: list[str] = []
    for key in path:
        index = getattr(key, "idx", None)
        if index is not None and names:
            names[-1] += f"_{index}"
        else:
            names.append(
                str(next(getattr(key, a) for a in ("name", "key", "idx") if hasattr(key, a)))
            )
    if names[-1] == "value":  # of a variable of NNX
        names.pop()
    return tuple(names)
