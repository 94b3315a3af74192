"""The conventions that become starts: dones, lengths, segment ids, cumulative lengths.

step       0  1  2  3  4  5  6  7
starts     1  0  0  1  0  0  0  1      true: before x_t is used, the state becomes the initial one
sequence   a  a  a  b  b  b  b  c

Values are checked where they are known: everywhere but inside JAX's transformations.
"""

from __future__ import annotations

import numpy as np

from memcore.backend import (
    as_flags,
    is_bool,
    is_floating,
    is_integer,
    is_symbolic,
    known,
    namespace,
    plain,
)
from memcore.types import Array, Namespace, Value


def starts_from_dones(dones: Array, previous: Array = None) -> Array:
    """Starts from the reinforcement-learning convention: done at t, so step t+1 starts afresh.

    Args:
        dones: ``(..., T)`` bool, or numbers that are 0 and 1.
        previous: ``(...)`` of the same kinds, the last done of the rollout before (``dones[..., -1]``
            of it). None: the rollout continues whatever the state given with it holds.

    Returns:
        starts ``(..., T)`` bool.

    Raises:
        ValueError: a number is neither 0 nor 1, or a shape does not fit.
        TypeError: an argument is of another kind.
    """
    dones = _with_axis("dones", as_flags("dones", dones), "(..., T)")
    xp = namespace(dones)
    first = xp.zeros_like(dones[..., :1])
    if previous is not None:
        previous = xp.asarray(as_flags("previous", previous))
        first = _broadcast("previous", previous, dones.shape[:-1])[..., None]
    return xp.concat([first, dones[..., :-1]], axis=-1)[..., : dones.shape[-1]]


def starts_from_next_step(dones: Array, previous: Array = None) -> tuple[Array, Array]:
    """Starts, and the weights of a loss, from environments that reset themselves in the step after an end.

    That is the mode ``NEXT_STEP`` of gymnasium's vector environments, their default since 1.0:

    step       0  1  2  3  4  5
    dones      0  1  0  0  0  0     the action of step 1 ended an episode
    input      x0 x1 x2 y0 y1 y2    x2 is its last observation, y0 the first of the next one
    starts     0  0  0  1  0  0     done at t: starts at t + 2
    weights    1  1  0  1  1  1     the environment does not look at the action of step t + 1

    The memory reads the last observation like any other; a policy learns nothing from its action there.

    Args:
        dones: ``(..., T)`` bool, or numbers that are 0 and 1.
        previous: ``(..., 2)`` of the same kinds, the last two dones of the rollout before
            (``dones[..., -2:]`` of it). None: no episode ended there.

    Returns:
        ``(starts, weights)``, both ``(..., T)``: bool, and float32 of 0 and 1.

    Raises:
        ValueError: a number is neither 0 nor 1, or a shape does not fit.
        TypeError: an argument is of another kind.
    """
    dones = _with_axis("dones", as_flags("dones", dones), "(..., T)")
    xp = namespace(dones)
    shape = (*dones.shape[:-1], 2)
    if previous is None:
        before = xp.zeros(shape, dtype=xp.bool)
    else:
        before = xp.asarray(as_flags("previous", previous))
        if (
            before.shape != shape
        ):  # a row of dones[..., -1] would be read as the last two of every row
            raise ValueError(f"previous has shape {before.shape}, expected {shape}")
    ended = xp.concat([before, dones], axis=-1)
    length = dones.shape[-1]
    weights = xp.astype(~ended[..., 1:], xp.float32)[..., :length]
    return ended[..., :length], weights


def starts_from_segment_ids(segment_ids: Array, previous: Array = None) -> Array:
    """Starts where the number of the packed sequence changes.

    Args:
        segment_ids: ``(..., T)`` integers; equal neighbours belong together.
        previous: ``(...)`` integers, the last id of the row before. None: step 0 starts afresh.

    Returns:
        starts ``(..., T)`` bool.

    Raises:
        ValueError: a shape does not fit.
        TypeError: an argument does not hold integers.
    """
    ids = _with_axis("segment_ids", _ids("segment_ids", segment_ids), "(..., T)")
    xp = namespace(ids)
    changed = ids[..., 1:] != ids[..., :-1]
    if previous is None:
        first = xp.ones(ids[..., :1].shape, dtype=xp.bool)
    else:
        before = _moved("previous", _ids("previous", previous), xp)
        before = _broadcast("previous", before, ids.shape[:-1])[..., None]
        first = _differ(ids[..., :1], before)
    return xp.concat([first, changed], axis=-1)


def starts_from_lengths(lengths: Array, total: int) -> Array:
    """Starts of one row that packs sequences of the given lengths, one behind the other.

    Args:
        lengths: ``(..., N)`` integers, none negative; zeros at the end are unused places.
        total: T, the length of the row. What the lengths leave over is one more sequence (padding).

    Returns:
        starts ``(..., T)`` bool.

    Raises:
        ValueError: a length is negative, or they need more than ``total`` steps.
        TypeError: an argument does not hold integers.
    """
    lengths = _with_axis("lengths", _integers("lengths", lengths), "(..., N)")
    total = _count("total", total)
    _check_lengths(lengths, total, packed=True)
    xp = namespace(lengths)
    ends = xp.cumulative_sum(lengths, axis=-1, include_initial=True)
    return xp.any(ends[..., None] == xp.arange(total, dtype=ends.dtype), axis=-2)


def starts_from_trials(steps_per_trial: int, total: int, before: Array = 0) -> Array:
    """Starts of RL^2 (arXiv:1611.02779): the memory outlives episodes, and a trial of several begins afresh.

    Args:
        steps_per_trial: steps of a trial, whatever episodes end in it.
        total: T, the number of steps of this rollout.
        before: ``(...)`` integers, the steps that each row has taken before it.

    Returns:
        starts ``(..., T)`` bool, true where a trial begins.

    Raises:
        ValueError: a number is below 0, or ``steps_per_trial`` is 0.
        TypeError: an argument does not hold integers.
    """
    size, total = _count("steps_per_trial", steps_per_trial), _count("total", total)
    if size == 0:
        raise ValueError("steps_per_trial is 0, expected a positive int")
    before = _integers("before", before)
    values = known(before)
    if values is not None and values.size and values.min() < 0:
        raise ValueError(f"before has {values.min()}, expected none below 0")
    xp = namespace(before)
    steps = xp.arange(total)
    largest = int(xp.iinfo(steps.dtype).max)
    if size > largest:
        raise ValueError(f"steps_per_trial is {size}, expected at most {largest}")
    # Steps until the next trial: sums with before would wrap around where it is large, or its dtype narrow.
    ahead = -xp.astype(before, steps.dtype)[..., None] % size
    return (steps - ahead) % size == 0


def valid_from_lengths(lengths: Array, total: int) -> Array:
    """The mask of rows that hold one sequence each, from step 0 on, and then padding.

    Args:
        lengths: ``(...)`` integers, the length of each row's sequence, none negative.
        total: T, the length of the rows.

    Returns:
        valid ``(..., T)`` bool: true on the first ``lengths`` steps.

    Raises:
        ValueError: a length is negative or more than ``total``.
        TypeError: an argument does not hold integers.
    """
    lengths, total = _integers("lengths", lengths), _count("total", total)
    _check_lengths(lengths, total, packed=False)
    steps = namespace(lengths).arange(total)
    # In a narrow dtype of the lengths the steps' numbers would wrap around.
    return steps < namespace(lengths).astype(lengths, steps.dtype)[..., None]


def starts_from_cu_seqlens(cu_seqlens: Array, total: int | None = None) -> Array:
    """Starts from cumulative sequence lengths ``[0, n_0, n_0 + n_1, ...]``.

    Args:
        cu_seqlens: ``(N + 1,)`` integers that do not decrease.
        total: T; the last of ``cu_seqlens`` if None (then its value must be known).

    Returns:
        starts ``(T,)`` bool.

    Raises:
        ValueError: ``cu_seqlens`` is no list of that kind, or its last is more than ``total``.
        TypeError: an argument does not hold integers, or ``total`` is None where the values of
            ``cu_seqlens`` are not known.
    """
    cu = _integers("cu_seqlens", cu_seqlens)
    if cu.ndim != 1 or cu.shape[0] < 1:
        raise ValueError(f"cu_seqlens has shape {tuple(cu.shape)}, expected (N + 1,)")
    values = known(cu)
    if total is None and values is None:
        raise TypeError("total is None, expected an int where the values of cu_seqlens are traced")
    total = int(values[-1]) if total is None and values is not None else _count("total", total)
    if values is not None:
        _check_cumulative(values, total)
    xp = namespace(cu)
    # In a narrow dtype of cu the steps' numbers would wrap around.
    steps = xp.arange(total)
    return xp.any(xp.astype(cu, steps.dtype)[:, None] == steps, axis=0)


def _integers(name: str, x: Array) -> Array:
    x = plain(name, x, "integers")
    xp = namespace(x)
    if is_floating(x) and 0 in x.shape:
        # NumPy calls an empty list floats.
        x = xp.astype(x, xp.int32)
    if not is_integer(x):
        raise TypeError(f"{name} has dtype {x.dtype}, expected integers")
    return x


def _ids(name: str, x: Array) -> Array:
    x = plain(name, x, "integers")
    # Booleans number two segments.
    return namespace(x).astype(x, namespace(x).int32) if is_bool(x) else _integers(name, x)


def _moved(name: str, x: Array, xp: Namespace) -> Array:
    """Integers in the library ``xp``, whose widest dtype may be narrower."""
    moved, values = xp.asarray(x), known(x)
    limits = xp.iinfo(moved.dtype)
    if values is not None and np.any((values < limits.min) | (values > limits.max)):
        raise ValueError(f"{name} is {values.tolist()}, expected integers of {moved.dtype}")
    return moved


def _count(name: str, value: Value) -> Array:
    if is_symbolic(value):
        return value
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}, expected an int")
    if value < 0:
        raise ValueError(f"{name} is {value}, expected none below 0")
    return int(value)


def _check_lengths(lengths: Array, total: int | None, packed: bool) -> None:
    values = known(lengths)
    if values is None or not isinstance(total, int) or not values.size:
        return
    if values.min() < 0:
        raise ValueError(f"lengths has {values.min()}, expected none to be negative")
    # As floats: a sum of integers may wrap around.
    most = values.sum(-1, dtype=float).max() if packed else values.max()
    if most > total:
        verb = "add up to" if packed else "has"
        raise ValueError(f"lengths {verb} {int(most)}, expected at most {total=}")


def _check_cumulative(cu: np.ndarray, total: int | None) -> None:
    if cu[0] != 0 or np.any(cu[1:] < cu[:-1]):
        raise ValueError(f"cu_seqlens is {cu.tolist()}, expected to begin at 0 and not decrease")
    if isinstance(total, int) and cu[-1] > total:
        raise ValueError(f"cu_seqlens ends at {cu[-1]}, expected at most {total=}")


def _differ(a: Array, b: Array) -> Array:
    """Where integers differ, each of which may be too large for the dtype of the other."""
    xp = namespace(a, b)
    wide = xp.arange(0).dtype
    # An unsigned integer may wrap around even there; then the signs tell them apart.
    return (xp.astype(a, wide) != xp.astype(b, wide)) | ((a < 0) != (b < 0))


def _with_axis(name: str, x: Array, expected: str) -> Array:
    if x.ndim < 1:
        raise ValueError(f"{name} has shape {x.shape}, expected {expected}")
    return x


def _broadcast(name: str, x: Array, shape: tuple[int, ...]) -> Array:
    try:
        return namespace(x).broadcast_to(x, shape)
    except Exception as error:
        raise ValueError(f"{name} has shape {x.shape}, expected {shape}") from error
