"""The grid: models that work on segments of equal length know where in a segment a step stands.

A state of such a model is ``{"phase": int32 (*batch), "memory": ...}``. The engine owns the phase: it
advances it by the length of every run, padding included, and no start moves it.
"""

from __future__ import annotations

import numpy as np

from memcore.backend import is_jax, namespace
from memcore.types import Array, State


def with_phase(memory: State, phase: Array, batch: tuple[int, ...], like: Array) -> State:
    """The whole state: ``phase`` is an int, or ``(*batch)`` already."""
    xp = namespace(like)
    if isinstance(phase, int | np.integer):
        phase = xp.full(batch, phase, dtype=xp.int32)
    return {"phase": phase, "memory": memory}


def first_place(grid: int, like: Array) -> Array:
    """The phase of a run that begins at a border; None where there is no grid."""
    xp = namespace(like)
    return None if grid == 1 else xp.zeros((), dtype=xp.int32)


def common_phase(phase: Array, grid: int) -> tuple[Array, Array]:
    """``(phase, differs)``: the scalar phase of all rows, and which rows have another one.

    Raises:
        ValueError: rows differ (on NumPy; on JAX values are not known).
    """
    xp = namespace(phase)
    flat = xp.reshape(phase, (-1,))
    if not flat.shape[0]:
        return xp.zeros((), dtype=xp.int32), None
    first = flat[0] % grid
    differs = phase % grid != first
    if is_jax(phase):
        return first, differs
    if xp.any((phase < 0) | (phase >= grid)):
        raise ValueError(
            f"state/phase is {np.asarray(phase).tolist()}, expected 0 to {grid - 1}: "
            f"the model's grid has {grid} steps"
        )
    if xp.any(differs):
        raise ValueError(
            f"state/phase is {np.asarray(phase).tolist()}, expected one number: the rows of a call stand at "
            f"the same place of the model's grid of {grid} steps (under jax.vmap each row has its own)"
        )
    return first, None


def last_places(phase: Array, grid: int, length: int, like: Array) -> Array:
    """``(T,)`` bool: which steps are the last of a segment of the grid."""
    xp = namespace(like)
    steps = xp.arange(length, dtype=xp.int32)
    return (steps + (0 if phase is None else phase)) % grid == grid - 1
