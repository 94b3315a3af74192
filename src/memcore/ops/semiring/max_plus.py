"""The max-plus recurrence: ``h_t = max(h_{t-1} + a_t, b_t)``, elementwise.

The recurrence of the tropical semiring (max, +) (see `memcore.ops.semiring`); with a = 0 a running
maximum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Starts, State
from memcore.engine.call import Call
from memcore.ops.arguments import as_floats, in_front
from memcore.ops.run import run_rule
from memcore.ops.semiring.recurrence import SemiringRecurrence


@dataclass(frozen=True)
class MaxPlus(SemiringRecurrence):
    """``join`` is the larger of two; the gradient of equal ones goes to the later."""

    rule_name: ClassVar[str] = "max_plus"

    def join(self, x: Array, y: Array) -> Array:
        # Not `maximum`, whose gradient halves at a tie: halves depend on the order of the joins. As there, a
        # NaN is the larger.
        return namespace(x).where((y >= x) | (y != y), y, x)


def max_plus(
    a: Array,
    b: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """``h_t = max(h_{t-1} + a_t, b_t)`` over time.

    A linear system in max-plus algebra with a diagonal matrix (Baccelli, Cohen, Olsder and Quadrat,
    Synchronization and Linearity, 1992).

    Args:
        a: ``(..., T, N)`` or what broadcasts to it, as ``(N,)`` where it is constant in time; ``-inf``
            forgets all.
        b: ``(..., T, N)``; what is not above -1e38, ``-inf`` too, is nothing.
        state: ``(..., N)``, what came before; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, h becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave h as it is, and their output is 0.
        initial: ``(..., N)``, the state at each start; empty, -1e38, if None.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"`` (a fold; its
            gradient keeps nothing but the states).
        chunk_size: steps per chunk of ``"chunked"``.

    Returns:
        ``(state, h)``: ``(..., N)`` and ``(..., T, N)``, -1e38 where there is nothing yet; the state of
        half precision inputs is float32. Outputs below the lowest number of float16, -65504, are that
        number. The gradient goes to the largest, the latest of equal ones.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    b = as_floats("b", b, 2, "(..., T, N)")
    inputs = {"a": in_front("a", a, "b", b), "b": b}
    call = Call(starts, valid, method, chunk_size)
    return run_rule(MaxPlus(), inputs, "b", -2, state, initial, call)
