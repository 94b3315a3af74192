"""The linear recurrence with a dense transition: ``h_t = A_t h_{t-1} + b_t``.

Element ``(A, b)``; ``(A, b) . (C, d) = (C A, C b + d)``; it acts on h as ``A h + b``. A step costs
``N^2``; combining two elements ``N^3``, so the prefix scan, which is ``fused`` on a GPU or a TPU up to 2^24
numbers of transitions, pays only for small N.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Starts, State
from memcore.engine.call import Call
from memcore.ops.arguments import as_floats
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.linear.numbers import DENSE, Numbers
from memcore.ops.run import run_rule


@dataclass(frozen=True)
class DenseRecurrence(LinearRecurrence):
    """Inputs a, the transitions ``(..., T, N, N)``, and b ``(..., T, N)``; state h
    ``(..., N)``."""

    rule_name: ClassVar[str] = "dense_recurrence"

    def numbers(self, a: Array) -> Numbers:
        return DENSE


def _transitions(a: Array, b: Array) -> Array:
    """``a`` with one axis more than ``b``: b's or 1 in front, and ``(N, N)``."""
    size = b.shape[-1]
    shape = (1,) * (b.ndim + 1 - a.ndim) + tuple(a.shape)
    front = zip(shape[:-2], b.shape[:-1], strict=False)
    if (
        len(shape) != b.ndim + 1
        or shape[-2:] != (size, size)
        or any(n not in (1, m) for n, m in front)
    ):
        raise ValueError(
            f"a has shape {tuple(a.shape)}, expected one that broadcasts to "
            f"{(*b.shape, size)} with the last axes ({size}, {size}) to match b {tuple(b.shape)}"
        )
    return namespace(a).reshape(a, shape)


def dense_recurrence(
    a: Array,
    b: Array = None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """``h_t = A_t h_{t-1} + b_t`` over time, with dense matrices A (rotations: see `rotation`).

    The recurrence of linear state-space layers (arXiv:2110.13985), discretised.

    Args:
        a: ``(..., T, N, N)``, or of time length 1 or without time ``(N, N)`` where it is constant; batch
            axes broadcast to those of ``b``.
        b: ``(..., T, N)``; None for ``h_t = A_t h_{t-1}`` (then ``a`` has all axes).
        state: ``(..., N)``, what came before; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, h becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave h as it is, and their output is 0.
        initial: ``(..., N)``, the state at each start; zero if None.
        method: ``"auto"``, ``"sequential"`` (differentiable forward and backward), ``"associative"``,
            ``"chunked"`` or ``"fused"`` (its gradient is the recurrence run backwards; no ``jvp``).
        chunk_size: steps per chunk of ``"chunked"``.

    Returns:
        ``(state, h)``: ``(..., N)`` and ``(..., T, N)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    a = as_floats("a", a, 2 if b is not None else 3, "(..., T, N, N)")
    b = namespace(a).zeros(a.shape[:-1], dtype=a.dtype) if b is None else b
    b = as_floats("b", b, 2, "(..., T, N)")
    inputs = {"a": _transitions(a, b), "b": b}
    call = Call(starts, valid, method, chunk_size)
    return run_rule(DenseRecurrence(), inputs, "b", -2, state, initial, call)
