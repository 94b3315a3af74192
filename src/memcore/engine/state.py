"""The state before the first input, and the dtype of a computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from memcore.backend import (
    asarray_like,
    broadcasting,
    dtype_of,
    is_floating,
    is_symbolic,
    namespace,
    state_dtype,
    tree_leaves,
    tree_map,
)
from memcore.engine.checks import as_array, as_arrays, check_flags, check_model, check_rows
from memcore.engine.grid import with_phase
from memcore.engine.resets import select
from memcore.fields import is_count
from memcore.types import Array, Dtype, Params, State, Tree

if TYPE_CHECKING:
    from memcore.cell import Model


def compute_dtype(model: Model, params: Params, xs: Array) -> Dtype:
    """The dtype of the computation: that of the inputs; for tokens the model's, or the parameters'."""
    if is_floating(xs):
        return xs.dtype
    if model.token_dtype is not None:
        return dtype_of("token_dtype", model.token_dtype, namespace(xs))
    floats = [leaf for leaf in tree_leaves(params) if is_floating(leaf)]
    return floats[0].dtype if floats else namespace(xs).float32


def memory_like(
    model: Model, params: Params, like: Array, batch: tuple[int, ...], dtype: Dtype
) -> State:
    """``initial_state`` broadcast over ``batch``, in the library of ``like`` and, where floating, the
    dtype of states for a computation in ``dtype``."""
    xp = namespace(like)
    like = xp.zeros(1, dtype=state_dtype(xp, dtype))

    def leaf(x: Array) -> Tree:
        x = asarray_like(x, like)
        return xp.broadcast_to(x, (*batch, *x.shape))

    return tree_map(leaf, broadcasting(model.initial_state, params)(params))


def initial_state(
    model: Model,
    params: Params,
    batch_shape: tuple[int, ...] = (),
    *,
    dtype: Dtype = None,
    phase: int = 0,
) -> State:
    """The state before the first input, once for each sequence of a batch.

    Args:
        model: any `Model`.
        params: its parameters.
        batch_shape: the batch axes.
        dtype: of the inputs that will follow; None is that of the parameters.
        phase: where in the model's grid the first input stands; 0 for a model without one.

    Returns:
        A tree of leaves ``(*batch_shape, *leaf)``: arrays of the parameters' library, in the dtype of
        states (that of the inputs; float32 for half precision), as a run returns them.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    check_model(model)
    floats = [leaf for leaf in tree_leaves(as_arrays(params, "params")) if is_floating(leaf)]
    like = floats[0] if floats else np.zeros(1, np.float32)
    xp, batch = namespace(like), _as_shape(batch_shape)
    dtype = like.dtype if dtype is None else dtype_of("dtype", dtype, xp)
    if not isinstance(phase, int | np.integer) or not 0 <= phase < model.grid:
        raise ValueError(f"phase is {phase!r}, expected one of 0 to {model.grid - 1} for {model!r}")
    memory = memory_like(model, params, like, batch, dtype)
    # A view of one initial state could not be written to.
    memory = tree_map(lambda x: xp.asarray(x, copy=True), memory)
    return with_phase(memory, phase, batch, like) if model.grid > 1 else memory


def _as_shape(batch_shape: Tree) -> tuple[int, ...]:
    sizes = batch_shape if isinstance(batch_shape, tuple | list) else [None]
    if not all(is_symbolic(n) or is_count(n, 0) for n in sizes):
        raise TypeError(f"batch_shape is {batch_shape!r}, expected a tuple of ints, none below 0")
    return tuple(sizes)


def reset(model: Model, params: Params, state: State, where: Array) -> State:
    """Put rows of a state back to the initial one; the place in the model's grid stays.

    Args:
        model: any `Model`.
        params: its parameters.
        state: leaves ``(*batch, *leaf)``.
        where: ``(*batch)`` bool: the rows to reset.

    Returns:
        The state, with the structure, shapes and dtypes that it had.

    Raises:
        ValueError, TypeError: ``where`` or ``state`` does not fit; the message names it.
    """
    check_model(model)
    gridded, state = model.grid > 1, as_arrays(state, "state")
    initial = broadcasting(model.initial_state, params)(params)
    own = with_phase(initial, 0, (), np.zeros(0)) if gridded else initial
    batch = check_rows(state, own)
    memory = state["memory"] if gridded else state
    leaves = tree_leaves(memory)
    if not leaves:
        return state
    where = check_flags("where", as_array(where, "where"), leaves[0], batch, "state", 0)

    def fresh(i: Array, s: State) -> State:
        return namespace(s).broadcast_to(asarray_like(i, s), s.shape)

    memory = select(where, tree_map(fresh, initial, memory), memory)
    return {**state, "memory": memory} if gridded else memory
