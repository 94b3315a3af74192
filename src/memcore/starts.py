"""The conventions that become starts: dones, lengths, segment ids, cumulative lengths.

step       0  1  2  3  4  5  6  7
starts     1  0  0  1  0  0  0  1      true: before x_t is used, the state becomes the initial one
sequence   a  a  a  b  b  b  b  c
"""

from __future__ import annotations

from typing import Any

import array_api_compat
import numpy as np

from memcore.backend import namespace


def _array(name: str, x: Any) -> Any:
    x = x if array_api_compat.is_array_api_obj(x) else np.asarray(x)
    if x.ndim < 1:
        raise ValueError(f"{name} has shape {x.shape}, expected (..., T)")
    return x


def starts_from_dones(dones: Any, previous: Any = None) -> Any:
    """Starts from the reinforcement-learning convention: done at t, so step t+1 starts afresh.

    Args:
        dones: ``(..., T)`` bool (numbers count as true where they are not zero).
        previous: ``(...)`` bool, the last done of the rollout before (``dones[..., -1]`` of it). None:
            the rollout continues whatever the state given with it holds.

    Returns:
        starts ``(..., T)`` bool.
    """
    dones = _array("dones", dones)
    xp = namespace(dones)
    dones = xp.astype(dones, xp.bool)
    first = xp.zeros_like(dones[..., :1])
    if previous is not None:
        previous = xp.astype(xp.asarray(previous), xp.bool)
        first = _broadcast("previous", previous, dones.shape[:-1])[..., None]
    return xp.concat([first, dones[..., :-1]], axis=-1)[..., : dones.shape[-1]]


def starts_from_segment_ids(segment_ids: Any, previous: Any = None) -> Any:
    """Starts where the number of the packed sequence changes.

    Args:
        segment_ids: ``(..., T)`` integers; equal neighbours belong together.
        previous: ``(...)`` integers, the last id of the row before. None: step 0 starts afresh.

    Returns:
        starts ``(..., T)`` bool.
    """
    ids = _array("segment_ids", segment_ids)
    xp = namespace(ids)
    changed = ids[..., 1:] != ids[..., :-1]
    if previous is None:
        first = xp.ones(ids[..., :1].shape, dtype=xp.bool)
    else:
        # Neither in the dtype of the other, which may be too narrow for it.
        integer = xp.arange(0).dtype
        before = xp.astype(xp.asarray(previous), integer)
        before = _broadcast("previous", before, ids.shape[:-1])[..., None]
        first = xp.astype(ids[..., :1], integer) != before
    return xp.concat([first, changed], axis=-1)


def starts_from_lengths(lengths: Any, total: int) -> Any:
    """Starts of one row that packs sequences of the given lengths, one behind the other.

    Args:
        lengths: ``(..., N)`` integers, none negative; zeros at the end are unused places.
        total: T, the length of the row. What the lengths leave over is one more sequence (padding).

    Returns:
        starts ``(..., T)`` bool.

    Raises:
        ValueError: a length is negative, or they need more than ``total`` steps (checked on NumPy
            arrays and lists, whose values are known).
    """
    lengths = _array("lengths", lengths)
    if isinstance(lengths, np.ndarray):
        if np.any(lengths < 0):
            raise ValueError(f"lengths has {lengths.min()}, expected none to be negative")
        if np.any(lengths.sum(-1) > total):
            raise ValueError(
                f"lengths add up to {lengths.sum(-1).max()}, expected at most {total=}"
            )
    xp = namespace(lengths)
    ends = xp.cumulative_sum(lengths, axis=-1, include_initial=True)
    return xp.any(ends[..., None] == xp.arange(total, dtype=ends.dtype), axis=-2)


def starts_from_cu_seqlens(cu_seqlens: Any, total: int | None = None) -> Any:
    """Starts from cumulative sequence lengths ``[0, n_0, n_0 + n_1, ...]``.

    Args:
        cu_seqlens: ``(N + 1,)`` integers that do not decrease.
        total: T; the last of ``cu_seqlens`` if None (then its value must be known).

    Returns:
        starts ``(T,)`` bool.

    Raises:
        ValueError: ``cu_seqlens`` is no list of that kind (values are checked on NumPy arrays and
            lists).
    """
    cu = _array("cu_seqlens", cu_seqlens)
    if cu.ndim != 1 or cu.shape[0] < 1:
        raise ValueError(f"cu_seqlens has shape {tuple(cu.shape)}, expected (N + 1,)")
    xp = namespace(cu)
    if isinstance(cu, np.ndarray):
        if cu[0] != 0 or np.any(np.diff(cu) < 0):
            raise ValueError(
                f"cu_seqlens is {cu.tolist()}, expected to begin at 0 and not decrease"
            )
        if total is not None and cu[-1] > total:
            raise ValueError(f"cu_seqlens ends at {cu[-1]}, expected at most {total=}")
    total = int(cu[-1]) if total is None else total
    # In a narrow dtype of cu the steps' numbers would wrap around.
    steps = xp.arange(total)
    return xp.any(xp.astype(cu, steps.dtype)[:, None] == steps, axis=0)


def _broadcast(name: str, x: Any, shape: tuple[int, ...]) -> Any:
    try:
        return namespace(x).broadcast_to(x, shape)
    except Exception as error:
        raise ValueError(f"{name} has shape {x.shape}, expected {shape}") from error
