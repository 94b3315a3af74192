"""The linear recurrence ``h_t = a_t h_{t-1} + b_t``: real, complex, or in 2x2 blocks.

Element ``(a, b)``; ``(a, b) . (c, d) = (c a, c b + d)``; it acts on h as ``a h + b``. Complex numbers
are pairs ``(re, im)`` of real arrays: complex elements compile many times slower in
``jax.lax.associative_scan`` (jax-ml/jax issue 18221) and run slower. The 2x2 products of blocks are
written out on the arrays of their entries, not as tiny matrix products.

Backwards in time the same recurrence runs on flipped arrays. There a start on step t stands between
t and t-1: it acts before step t-1 is taken, and behind step 0 on the state that is handed on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.backend import (
    asarray_like,
    broadcast_like,
    compiled,
    fold,
    is_jax,
    namespace,
    tree_leaves,
    tree_map,
)
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.engine.checks import as_array, check_flags
from memcore.engine.resets import select
from memcore.nn import wide
from memcore.ops.arguments import as_floats, in_front
from memcore.ops.linear.numbers import Numbers, numbers_of, plus, power, product
from memcore.ops.rule import Rule
from memcore.ops.run import run_rule
from memcore.types import Reads, Tree


@dataclass(frozen=True)
class LinearRecurrence(Rule):
    """Inputs a and b, arrays, pairs or blocks of ``(..., T, N)``; state h ``(..., N)``. The last axis of
    ``a`` may be 1: one number for all channels.

    Args:
        rank: axes of h, more than 1 where a cell has several channels of several states.
    """

    rank: int = 1

    rule_name: ClassVar[str] = "linear_recurrence"
    returns_states: ClassVar[bool] = True

    @property
    def state_ndim(self) -> int:  # type: ignore[override]
        return self.rank

    def numbers(self, a: Array) -> Numbers:
        """What ``a h`` means."""
        return numbers_of(a)

    def zeros(self, inputs: Inputs) -> State:
        return tree_map(lambda b: np.zeros(b.shape[-self.rank :]), inputs["b"])

    def lift(self, inputs: Inputs) -> Element:
        b = tree_map(wide, inputs["b"])
        like = tree_leaves(b)[0]
        return tree_map(lambda a: asarray_like(a, like), inputs["a"]), b

    def binary_op(self, a: Element, b: Element) -> Element:
        numbers = self.numbers(a[0])
        return numbers.product(b[0], a[0]), plus(numbers.act(b[0], a[1]), b[1])

    def act(self, state: State, element: Element) -> State:
        a, b = element
        return plus(self.numbers(a).act(a, state), b)

    def transition(self, inputs: Inputs, used: Array) -> Element:
        """Their product; of a constant one its power."""
        a, axis = self.lift(inputs)[0], used.ndim - 1
        numbers = self.numbers(a)
        if tree_leaves(a)[0].shape[axis] == used.shape[axis]:
            return product(numbers, select(used, a, numbers.one(a)), axis)
        xp = namespace(used)
        count = xp.sum(xp.astype(used, xp.int32), axis=axis, dtype=xp.int32)
        still = tree_map(lambda x: namespace(x).squeeze(x, axis=axis), a)
        return power(numbers, still, count, used.shape[axis])

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        """A fold, on a GPU or a TPU a prefix scan, whose gradient is the same recurrence run backwards (on
        JAX; no forward mode)."""
        axis = tree_leaves(state)[0].ndim - self.rank
        initial = self.zeros(inputs) if initial is None else initial
        initial = None if starts is None else broadcast_like(initial, state)
        a, b = self.lift(inputs)
        args = (self.numbers(a), axis, a, b, state, (starts, valid), initial)
        if is_jax(a, b, state):
            from memcore.ops.linear import _jax

            hs = _jax.linear_recurrence(*args)
        else:
            hs = _all_states(*args)
        last = (slice(None),) * axis + (-1, ...)
        return tree_map(lambda h: h[last], hs), hs


def _all_states(
    numbers: Numbers, axis: int, a: Array, b: Array, state: State, flags: Array, initial: State
) -> Array:
    """The recurrence, step by step; time at ``axis``."""
    a, b, flags = tree_map(lambda x: namespace(x).moveaxis(x, axis, 0), (a, b, flags))
    constant = tree_leaves(a)[0].shape[0] == 1
    still = tree_map(lambda x: x[0, ...], a)

    def body(h: Array, slot: Tree) -> Tree:
        a_t, b_t, (start, valid) = slot
        before = select(start, initial, h)
        after = plus(numbers.act(still if constant else a_t, before), b_t)
        after = after if valid is None else select(valid, after, before)
        return after, after

    slots = (None if constant else a, b, flags)
    hs = fold(body, state, slots, tree_leaves(b)[0].shape[0])[1]
    return tree_map(lambda h: namespace(h).moveaxis(h, 0, axis), hs)


def _number(name: str, x: Array, expected: str, blocks: bool = False) -> Array:
    """An array, a pair of arrays of one shape or, of ``blocks``, a pair of such pairs."""
    if x is None:
        raise TypeError(f"{name} is None, expected an array (..., T, N) or {expected}")
    if not isinstance(x, tuple):
        return as_array(x, name)
    rows = x if blocks and all(isinstance(row, tuple) for row in x) else (x,)
    parts = [part for row in rows for part in row]
    shapes = [tuple(np.shape(part)) for part in parts]
    lengths = {len(x), *(len(row) for row in rows)}
    if (
        lengths != {2}
        or len(set(shapes)) != 1
        or any(isinstance(part, tuple | None) for part in parts)
    ):
        raise ValueError(f"{name} is a tuple of shapes {shapes}, expected {expected}")
    pairs = tuple((as_array(row[0], name), as_array(row[1], name)) for row in rows)
    return pairs if len(pairs) == 2 else pairs[0]


def _forward(a: Array, b: Array, state: State, initial: State, call: Call) -> tuple[State, Array]:
    return run_rule(LinearRecurrence(), {"a": a, "b": b}, "b", -2, state, initial, call)


def _backward(
    method: str, chunk_size: int | None, a: Array, b: Array, state: State, initial: State,
    starts: Starts, valid: Array,
) -> tuple[State, Array]:  # fmt: skip
    """The recurrence from the last step to the first, on flipped arrays."""
    pattern = tree_leaves(b)[0]
    xp, shape = namespace(pattern), pattern.shape[:-1]
    starts = check_flags("starts", starts, pattern, shape, "b")
    valid = check_flags("valid", valid, pattern, shape, "b")
    call = Call(starts, valid, method, chunk_size)
    if shape[-1] == 0:
        return _forward(a, b, state, initial, call)
    a, b = tree_map(lambda x: namespace(x).flip(x, axis=-2), (a, b))
    state, h = _forward(a, b, state, initial, call.mirrored())
    if starts is not None:
        zeros = tree_map(xp.zeros_like, state)
        fresh = zeros if initial is None else broadcast_like(initial, state)
        state = select(starts[..., 0], fresh, state)
    return state, tree_map(lambda x: xp.flip(x, axis=-2), h)


def linear_recurrence(
    a: Array,
    b: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    reverse: bool = False,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """``h_t = a_t h_{t-1} + b_t`` over time, or ``h_t = a_t h_{t+1} + b_t`` backwards in time.

    The recurrence of linear RNNs (arXiv:1709.04057), complex of the LRU (arXiv:2303.06349), in
    2x2 blocks of LinOSS (arXiv:2410.03943).

    Args:
        a: ``(..., T, N)``, or of time length 1 or without time ``(N,)`` where it is constant; the last
            axis may be 1, and ``a`` a number, where all channels share it.
        b: ``(..., T, N)``. Complex ``a`` and ``b`` are pairs ``(re, im)`` of real arrays; in 2x2 blocks
            ``a`` is a pair of pairs ``((a00, a01), (a10, a11))`` and ``b``, as h, a pair ``(b0, b1)``.
        state: ``(..., N)``, what came before (in reverse: what comes after); ``initial`` if None.
        starts: ``(..., T)`` bool: step t begins a sequence. Before it, h becomes ``initial``; in
            reverse, h becomes ``initial`` behind it, before step t-1 or the end of the run.
        valid: ``(..., T)`` bool: other steps leave h as it is, and their output is 0.
        initial: ``(..., N)``, the state at each start; zero if None.
        reverse: whether the recurrence runs from the last step to the first.
        method: ``"auto"``, ``"sequential"`` (differentiable forward and backward), ``"associative"``,
            ``"chunked"`` or ``"fused"`` (its gradient is the recurrence run backwards; no ``jvp``).
        chunk_size: steps per chunk of ``"chunked"``.

    Returns:
        ``(state, h)``: ``(..., N)`` and ``(..., T, N)``; the state of half precision inputs is float32.
        In reverse the state is what the steps before these must be given.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    a = _number("a", a, "a pair (re, im), or a pair of pairs, of arrays of one shape", blocks=True)
    b = _number("b", b, "a pair (re, im) of one shape")
    if isinstance(a, tuple) != isinstance(b, tuple):
        raise TypeError("a and b are one an array and one a pair, expected two arrays or two pairs")
    for x in tree_leaves(b):
        as_floats("b", x, 2, "(..., T, N)")
    like = tree_leaves(b)[0]
    a = tree_map(lambda x: in_front("a", x, "b", like), a)
    if not reverse:
        return _forward(a, b, state, initial, Call(starts, valid, method, chunk_size))
    starts, valid = as_array(starts, "starts"), as_array(valid, "valid")
    return compiled(_backward, (method, chunk_size), (a, b, state, initial, starts, valid))
