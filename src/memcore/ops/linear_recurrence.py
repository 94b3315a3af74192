"""The diagonal linear recurrence ``h_t = a_t h_{t-1} + b_t``, real or complex.

Element ``(a, b)``; ``(a, b) . (c, d) = (c a, c b + d)``; it acts on h as ``a h + b``. Complex numbers
are pairs ``(re, im)`` of real arrays: complex elements compile many times slower in
``jax.lax.associative_scan`` (jax-ml/jax issue 18221) and run slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore.backend import broadcast_like, fold, namespace, tree_leaves, tree_map
from memcore.backend import linear_recurrence as recurrence
from memcore.call import Call, as_array
from memcore.ops.rule import Rule, check_rank, keep, run_rule, wide
from memcore.resets import select


def times(a: Any, h: Any) -> Any:
    """``a h``, for arrays or pairs (re, im)."""
    if isinstance(a, tuple):
        return (a[0] * h[0] - a[1] * h[1], a[0] * h[1] + a[1] * h[0])
    return a * h


def plus(x: Any, y: Any) -> Any:
    """``x + y``, for arrays or pairs (re, im)."""
    return tree_map(lambda a, b: a + b, x, y)


@dataclass(frozen=True)
class LinearRecurrence(Rule):
    """Inputs ``{"decay": a, "input": b}``, arrays or pairs ``(..., T, N)``; state h ``(..., N)``."""

    rule_name: ClassVar[str] = "linear_recurrence"

    def zeros(self, inputs: Any) -> Any:
        return tree_map(lambda b: np.zeros(b.shape[-1:]), inputs["input"])

    def lift(self, params: Any, inputs: Any) -> Any:
        return tree_map(wide, inputs["decay"]), tree_map(wide, inputs["input"])

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return times(b[0], a[0]), plus(times(b[0], a[1]), b[1])

    def act(self, params: Any, state: Any, element: Any) -> Any:
        return plus(times(element[0], state), element[1])

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        """A fold whose gradient is the same recurrence run backwards (on JAX; no forward mode)."""
        a, b = self.lift({}, inputs)
        axis = tree_leaves(state)[0].ndim - 1
        b = tree_map(lambda x: keep(valid, x), b)
        a = (
            (keep(valid, a[0], 1.0), keep(valid, a[1]))
            if isinstance(a, tuple)
            else keep(valid, a, 1.0)
        )
        initial = None if starts is None else broadcast_like(self.initial_state(params), state)
        a, b, starts = tree_map(lambda x: namespace(x).moveaxis(x, axis, 0), (a, b, starts))
        hs = recurrence(a, b, state, starts, initial, _fold)
        last = tree_map(lambda h: h[-1, ...], hs)
        return last, tree_map(lambda h: namespace(h).moveaxis(h, 0, axis), hs)


def _numbers(name: str, x: Any) -> Any:
    """An array, or a pair (re, im) of arrays of one shape."""
    if not isinstance(x, tuple):
        return as_array(x)
    if len(x) != 2 or np.shape(x[0]) != np.shape(x[1]):
        shapes = [tuple(np.shape(part)) for part in x]
        raise ValueError(
            f"{name} is a tuple of shapes {shapes}, expected a pair (re, im) of one shape"
        )
    return as_array(x[0]), as_array(x[1])


def _in_front(a: Any, b: Any) -> Any:
    """``a`` with as many axes as ``b``; every one of them b's or 1, but the last, which is b's."""
    shape = (1,) * (b.ndim - a.ndim) + tuple(a.shape)
    pairs = zip(shape, b.shape, strict=False)
    if len(shape) != b.ndim or shape[-1] != b.shape[-1] or any(n not in (1, m) for n, m in pairs):
        raise ValueError(
            f"a has shape {tuple(a.shape)}, expected one that broadcasts to b {tuple(b.shape)}"
        )
    return namespace(a).reshape(a, shape)


def _fold(a: Any, b: Any, state: Any, starts: Any, initial: Any) -> Any:
    """The recurrence, step by step, time leading: the portable form."""
    constant = tree_leaves(a)[0].shape[0] == 1
    still = tree_map(lambda x: x[0, ...], a)

    def body(h: Any, slot: Any) -> Any:
        a_t, b_t, start = slot
        h = plus(times(still if constant else a_t, select(start, initial, h)), b_t)
        return h, h

    slots = (None if constant else a, b, starts)
    return fold(body, state, slots, tree_leaves(b)[0].shape[0])[1]


def linear_recurrence(
    a: Any,
    b: Any,
    state: Any = None,
    *,
    starts: Any = None,
    valid: Any = None,
    initial: Any = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[Any, Any]:
    """``h_t = a_t h_{t-1} + b_t`` over time.

    Args:
        a: ``(..., T, N)``, or of time length 1 or without time ``(N,)`` where it is constant.
        b: ``(..., T, N)``. Complex ``a`` and ``b`` are pairs ``(re, im)`` of real arrays.
        state: ``(..., N)``, what came before; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, h becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave h as it is, and their output is 0.
        initial: ``(..., N)``, the state at each start; zero if None.
        method: ``"auto"``, ``"sequential"`` (differentiable forward and backward), ``"associative"``,
            ``"chunked"`` or ``"fused"`` (its gradient is the recurrence run backwards; no ``jvp``).
        chunk_size: steps per chunk of ``"chunked"``.

    Returns:
        ``(state, h)``: ``(..., N)`` and ``(..., T, N)``; the state of half precision inputs is float32.
    """
    a, b = _numbers("a", a), _numbers("b", b)
    if isinstance(a, tuple) != isinstance(b, tuple):
        raise TypeError("a and b are one real and one complex, expected two arrays or two pairs")
    for x in tree_leaves(b):
        check_rank("b", x, 2, "(..., T, N)")
    a = tree_map(_in_front, a, b)
    call = Call(starts, valid, method, chunk_size)
    return run_rule(LinearRecurrence(), {"decay": a, "input": b}, "input", -2, state, initial, call)
