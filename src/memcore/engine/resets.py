"""Starts: the reset of a memory, and what is not finite.

step       0  1  2  3  4  5  6  7
starts     1  0  0  1  0  0  0  1      true: before x_t is used, the state becomes the initial one
sequence   a  a  a  b  b  b  b  c
"""

from __future__ import annotations

from collections.abc import Callable

from memcore.backend import (
    all_finite,
    is_floating,
    is_jax,
    namespace,
    running_max,
    tree_leaves,
    tree_map,
)
from memcore.types import Array, Starts, State, Tree

# --- the reset -------------------------------------------------------------------------------------


def align(flag: Array, ndim: int) -> Array:
    """``flag`` with axes of length 1 behind, so that it broadcasts from the front."""
    xp = namespace(flag)
    return xp.reshape(flag, flag.shape + (1,) * (ndim - flag.ndim))


def select(flag: Array, chosen: Tree, other: Tree) -> Tree:
    """``where(flag, chosen, other)`` over the leaves; ``flag`` has the leading axes of ``other``.

    A select, never a product with the flag: ``nan * 0`` is ``nan``. None for ``flag`` is ``other``.
    """
    if flag is None:
        return other
    xp = namespace(flag)
    return tree_map(lambda a, b: xp.where(align(flag, b.ndim), a, b), chosen, other)


def before_each(first: Tree, after: Tree, starts: Starts, initial: Tree, axis: int) -> Tree:
    """What each step is given, of what stands after each: ``first`` before all, ``initial`` at a start; time
    at ``axis``."""
    front = (slice(None),) * axis + (slice(0, -1), ...)

    def ahead(x: Array) -> Array:
        return namespace(x).expand_dims(x, axis=axis)

    def shift(first: Array, later: Array) -> Array:
        return namespace(later).concat([ahead(first), later[front]], axis=axis)

    given = tree_map(shift, first, after)
    return given if starts is None else select(starts, tree_map(ahead, initial), given)


def resettable(op: Callable[[Tree, Tree], Tree]) -> Callable[[Tree, Tree], Tree]:
    """Lift an associative ``op`` to elements ``(start, valid, element)``; again associative.

    ``(ra, a) . (rb, b) = (ra | rb, where(rb, b, a . b))``. Each flag may be None: never a start,
    always valid. An element that is not valid acts as the identity, but its start still counts.
    """

    def combine(a: Array, b: Array) -> Tree:
        (start_a, valid_a, x), (start_b, valid_b, y) = a, b
        both = op(x, y)
        if valid_a is None:
            return _either(start_a, start_b), None, select(start_b, y, both)
        keeps = valid_a if start_b is None else valid_a & ~start_b
        merged = select(keeps & valid_b, both, select(valid_b, y, x))
        return _either(start_a, start_b), keeps | valid_b, merged

    return combine


def _either(a: Array, b: Array) -> Tree:
    return None if a is None else a | b


def segments(starts: Starts, axis: int = -1) -> Array:
    """Number the segments: int32, 0 before the first start, one more at each."""
    xp = namespace(starts)
    return xp.cumulative_sum(xp.astype(starts, xp.int32), axis=axis, dtype=xp.int32)


# --- what is not finite ----------------------------------------------------------------------------


def _not_finite(x: Array, axes_kept: int) -> Array:
    """For each index of the leading axes: is anything there not finite?"""
    return ~all_finite(x, axes_kept)


def contain(
    xs: Array, state: State, initial: State, starts: Starts, valid: Array, batch_ndim: int, causal: bool,
    vocabulary: int, arrives: Callable[[Array, Array], Array] | None = None,
) -> tuple[Array, State, Array]:  # fmt: skip
    """Replace what is not finite, and say which steps must be NaN for it.

    Returns ``(xs, state, flag)``: inputs with zeros and a state with ``initial`` in the places of
    what is not finite or no token of the vocabulary, and ``flag (*batch, T)``: this segment has seen
    such a value so far (anywhere in the segment, if the model is not ``causal``). ``flag`` is None
    where nothing can be wrong. Where these are the steps of a piece, ``arrives(bad, end)`` says
    whether the pieces before it spoil it, from what the state and each piece alone do.
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
    else:
        bad = (xs < 0) | (xs >= vocabulary)
        xs = xp.where(bad, xp.zeros_like(xs), xs)
        if not is_jax(xs):
            if xp.any(bad):
                raise ValueError(
                    f"xs has tokens outside of 0 to {vocabulary - 1}, expected those of the model's "
                    f"vocabulary of {vocabulary} (in_features)"
                )
            if not floats:
                return xs, state, None
    if valid is not None:
        bad = bad & valid
    if floats:
        state = tree_map(
            lambda i, s: xp.where(align(bad_state, s.ndim), i, s) if is_floating(s) else s,
            initial,
            state,
        )
    if arrives is not None:
        alone = seen_so_far(bad, xp.zeros_like(bad_state), starts, batch_ndim)
        bad_state = arrives(bad_state, alone[..., -1])
    return xs, state, seen_so_far(bad, bad_state, starts, batch_ndim, causal)


def seen_so_far(
    bad: Array, bad_state: Array, starts: Starts, axis: int, causal: bool = True
) -> Array:
    """Whether the segment of each step holds a bad step, up to it or (not ``causal``) anywhere."""
    xp = namespace(bad)
    number = xp.arange(1, bad.shape[axis] + 1, dtype=xp.int32)
    if starts is None:  # a minimum, where the running maximum takes a round for every power of two
        first_bad = xp.min(xp.where(bad, number, number[-1:] + 1), axis=axis, keepdims=True)
        seen = (number >= first_bad) | bad_state[..., None]
        return seen if causal else xp.broadcast_to(seen[..., -1:], seen.shape)
    # The last start or bad step so far, whichever it is: a bad one is odd. One maximum finds both.
    event = xp.where(bad, 2 * number + 1, xp.where(starts, 2 * number, xp.zeros_like(number)))
    last = running_max(event, axis)
    seen = (last % 2 == 1) | bad_state[..., None] & (last == 0)
    if causal:
        return seen
    # Backwards in time a segment begins at its last step, the one before the next start.
    ends = xp.concat([starts[..., 1:], xp.ones_like(starts[..., :1])], axis=axis)
    nothing = xp.zeros_like(bad_state)
    behind = seen_so_far(xp.flip(seen, axis=axis), nothing, xp.flip(ends, axis=axis), axis, True)
    return xp.flip(behind, axis=axis)


def poison(flag: Array, tree: Tree) -> Tree:
    """NaN in the floating point leaves where ``flag`` (leading axes) is set."""
    xp = namespace(flag)

    def leaf(x: Array) -> Tree:
        if not is_floating(x):
            return x
        wrong = align(flag, x.ndim)
        if not is_jax(x):
            return xp.where(wrong, xp.full_like(x, float("nan")), x)
        # A NaN only where it is wanted: ``jax_debug_nans`` without jit stops at any other.
        large = xp.where(
            wrong, xp.asarray(float("inf"), dtype=x.dtype), xp.zeros((), dtype=x.dtype)
        )
        return xp.where(wrong, large - large, x)

    return tree_map(leaf, tree)
