"""Starts: the reset of a memory, what is not finite, and the conventions that become starts.

step       0  1  2  3  4  5  6  7
starts     1  0  0  1  0  0  0  1      true: before x_t is used, the state becomes the initial one
sequence   a  a  a  b  b  b  b  c
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

from memcore.backend import (
    is_floating,
    namespace,
    running_max,
    tree_leaves,
    tree_map,
)

# --- the reset -------------------------------------------------------------------------------------


def align(flag: Any, ndim: int) -> Any:
    """``flag`` with axes of length 1 behind, so that it broadcasts from the front."""
    xp = namespace(flag)
    return xp.reshape(flag, flag.shape + (1,) * (ndim - flag.ndim))


def select(flag: Any, chosen: Any, other: Any) -> Any:
    """``where(flag, chosen, other)`` over the leaves; ``flag`` has the leading axes of ``other``.

    A select, never a product with the flag: ``nan * 0`` is ``nan``. None for ``flag`` is ``other``.
    """
    if flag is None:
        return other
    xp = namespace(flag)
    return tree_map(lambda a, b: xp.where(align(flag, b.ndim), a, b), chosen, other)


def resettable(op: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Lift an associative ``op`` to elements ``(start, valid, element)``; again associative.

    ``(ra, a) . (rb, b) = (ra | rb, where(rb, b, a . b))``. Each flag may be None: never a start,
    always valid. An element that is not valid acts as the identity, but its start still counts.
    """

    def combine(a: Any, b: Any) -> Any:
        (start_a, valid_a, x), (start_b, valid_b, y) = a, b
        both = op(x, y)
        if valid_a is None:
            return _either(start_a, start_b), None, select(start_b, y, both)
        keeps = valid_a if start_b is None else valid_a & ~start_b
        merged = select(keeps & valid_b, both, select(valid_b, y, x))
        return _either(start_a, start_b), keeps | valid_b, merged

    return combine


def _either(a: Any, b: Any) -> Any:
    return None if a is None else a | b


def segments(starts: Any, axis: int = -1) -> Any:
    """Number the segments: int32, 0 before the first start, one more at each."""
    xp = namespace(starts)
    return xp.cumulative_sum(xp.astype(starts, xp.int32), axis=axis, dtype=xp.int32)


# --- what is not finite ----------------------------------------------------------------------------


def _not_finite(x: Any, axes_kept: int) -> Any:
    """For each index of the leading axes: is anything there not finite?"""
    xp = namespace(x)
    bad = ~xp.isfinite(x)
    return xp.any(bad, axis=tuple(range(axes_kept, x.ndim))) if x.ndim > axes_kept else bad


def contain(
    xs: Any, state: Any, initial: Any, starts: Any, valid: Any, batch_ndim: int, causal: bool
) -> tuple[Any, Any, Any]:
    """Replace what is not finite, and say which steps must be NaN for it.

    Returns ``(xs, state, flag)``: inputs with zeros and a state with ``initial`` in the places of
    what is not finite, and ``flag (*batch, T)``: this segment has seen such a value so far (anywhere
    in the segment, if the model is not ``causal``). ``flag`` is None where nothing can be wrong.
    A ``state`` that is ``initial`` itself is finite by contract, and not looked at.
    """
    xp = namespace(xs)
    batch, length = xs.shape[:batch_ndim], xs.shape[batch_ndim]
    bad_state = xp.zeros(batch, dtype=xp.bool)
    given = [] if state is initial else tree_leaves(state)
    floats = [leaf for leaf in given if is_floating(leaf)]
    for leaf in floats:
        bad_state = bad_state | _not_finite(leaf, batch_ndim)
    bad = xp.zeros((*batch, length), dtype=xp.bool)
    if is_floating(xs):
        bad = _not_finite(xs, batch_ndim + 1)
        xs = xp.where(xp.isfinite(xs), xs, xp.zeros_like(xs))
    elif not floats:
        return xs, state, None
    if valid is not None:
        bad = bad & valid
    if floats:
        state = tree_map(
            lambda i, s: xp.where(align(bad_state, s.ndim), i, s) if is_floating(s) else s,
            initial,
            state,
        )
    return xs, state, _seen(bad, bad_state, starts, batch_ndim, causal)


def _seen(bad: Any, bad_state: Any, starts: Any, axis: int, causal: bool) -> Any:
    """Whether the segment of each step holds a bad step, up to it or (not ``causal``) anywhere."""
    xp = namespace(bad)
    number = xp.arange(1, bad.shape[axis] + 1, dtype=xp.int32)
    zero = xp.zeros_like(number)
    last_bad = running_max(xp.where(bad, number, zero), axis)
    if starts is None:
        seen = (last_bad > 0) | bad_state[..., None]
        return seen if causal else xp.broadcast_to(seen[..., -1:], seen.shape)
    last_start = running_max(xp.where(starts, number, zero), axis)
    seen = (last_bad >= last_start) & (last_bad > 0) | bad_state[..., None] & (last_start == 0)
    if causal:
        return seen
    # Backwards in time a segment begins at its last step, the one before the next start.
    ends = xp.concat([starts[..., 1:], xp.ones_like(starts[..., :1])], axis=axis)
    nothing = xp.zeros_like(bad_state)
    behind = _seen(xp.flip(seen, axis=axis), nothing, xp.flip(ends, axis=axis), axis, True)
    return xp.flip(behind, axis=axis)


def poison(flag: Any, tree: Any) -> Any:
    """NaN in the floating point leaves where ``flag`` (leading axes) is set."""
    xp = namespace(flag)

    def leaf(x: Any) -> Any:
        if not is_floating(x):
            return x
        return xp.where(align(flag, x.ndim), xp.full_like(x, float("nan")), x)

    return tree_map(leaf, tree)


# --- conventions -----------------------------------------------------------------------------------


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
