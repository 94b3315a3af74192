"""What a cell's inner step is given: the shapes of one step as ``embed`` gives it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from memcore.backend import tree_flatten
from memcore.types import Array, Inputs, Params, State

if TYPE_CHECKING:
    from memcore.cell.cell import Cell


def guarded_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """``step``, for those who call it with a model's inputs instead of embedded ones."""

    @functools.wraps(step)
    def guarded(self: Cell, params: Params, state: State, inputs: Inputs) -> State:
        _check_embedded(self, inputs)
        return step(self, params, state, inputs)

    return guarded


def _check_embedded(cell: Cell, inputs: Inputs) -> None:
    structure, shapes = embedded(cell)
    leaves, given = tree_flatten(inputs)
    unlike = given != structure or any(
        tuple(leaf.shape[leaf.ndim - len(shape) :]) != shape
        for leaf, shape in zip(leaves, shapes, strict=True)
    )
    if unlike:
        shown = [tuple(leaf.shape) for leaf in leaves]
        raise TypeError(
            f"inputs has leaves of shapes {shown}, expected what embed gives, (..., *leaf) of {shapes}: "
            f"{type(cell).__name__}.step is the inner step; for a time step of the model use "
            "memcore.step(model, params, state, x)"
        )


@functools.lru_cache(maxsize=1024)
def embedded(cell: Cell) -> tuple[Array, list[tuple[int, ...]]]:
    """Structure and shapes of one step as `embed` gives it."""
    if cell.input_ndim == 0:
        x: Array = np.zeros((), np.int32)
    else:
        x = np.zeros((1,) * (cell.input_ndim - 1) + (cell.in_features,), np.float32)
    leaves, structure = tree_flatten(cell.embed(cell.init(0), x))
    return structure, [tuple(leaf.shape) for leaf in leaves]
