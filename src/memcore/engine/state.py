"""The state before the first input, and the dtype of a computation."""

from __future__ import annotations

from typing import Any

from memcore.backend import asarray_like, is_floating, namespace, state_dtype, tree_leaves, tree_map


def compute_dtype(model: Any, params: Any, xs: Any) -> Any:
    """The dtype of the computation: that of the inputs; for tokens the model's, or the parameters'."""
    if is_floating(xs):
        return xs.dtype
    if model.token_dtype is not None:
        xp, name = namespace(xs), model.token_dtype
        if not hasattr(xp, name):
            raise TypeError(f"token_dtype is {name!r}, which {xp.__name__} does not have")
        return getattr(xp, name)
    floats = [leaf for leaf in tree_leaves(params) if is_floating(leaf)]
    return floats[0].dtype if floats else namespace(xs).float32


def initial_like(model: Any, params: Any, like: Any, batch: tuple[int, ...]) -> Any:
    """``initial_state`` broadcast over ``batch``, in the library and, where floating, the dtype of
    states for inputs of ``like``."""
    xp = namespace(like)
    like = xp.zeros(1, dtype=state_dtype(xp, compute_dtype(model, params, like)))

    def leaf(x: Any) -> Any:
        x = asarray_like(x, like)
        return xp.broadcast_to(x, (*batch, *x.shape))

    return tree_map(leaf, model.initial_state(params))


def initial_state(model: Any, params: Any, batch_shape: tuple[int, ...] = ()) -> Any:
    """The state before the first input, once for each sequence of a batch.

    Args:
        model: any `Model`.
        params: its parameters.
        batch_shape: the batch axes.

    Returns:
        A tree of leaves ``(*batch_shape, *leaf)``: arrays of the parameters' library and dtype (float32
        for half precision), as a run returns them.
    """
    like = next(leaf for leaf in tree_leaves(params) if is_floating(leaf))
    return initial_like(model, params, like, tuple(batch_shape))
