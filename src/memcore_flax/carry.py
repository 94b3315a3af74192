"""The carry of a cell: the state of a stream whose inputs are not there yet when it is made."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from memcore.types import Array, State


def widest() -> str:
    """The widest dtype of floats that JAX has: with it no inputs lose precision in a carry."""
    return str(jax.dtypes.canonicalize_dtype("float64").name)


def as_before(after: State, before: State) -> State:
    """The state in the dtypes that the carry had, as a scan demands.

    Raises:
        TypeError: that would lose precision.
    """

    def leaf(new: Array, old: Array) -> Array:
        if jnp.issubdtype(new.dtype, jnp.floating) and new.dtype.itemsize > old.dtype.itemsize:
            raise TypeError(
                f"carry has a state of {old.dtype}, expected {new.dtype} to match the inputs: as "
                "initialize_carry makes it"
            )
        return new.astype(old.dtype)

    return jax.tree.map(leaf, after, before)
