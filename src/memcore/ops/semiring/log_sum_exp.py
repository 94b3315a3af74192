"""The running log-sum-exp with decay: ``h_t = log(exp(h_{t-1} + g_t) + exp(x_t))``, elementwise.

The recurrence of the (logaddexp, +) semiring (see `memcore.ops.semiring`); without decay the
normaliser of LightNet (arXiv:2405.21022).
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
class LogSumExp(SemiringRecurrence):
    """``join`` is ``log(exp(x) + exp(y))``."""

    names: ClassVar[tuple[str, str]] = ("x", "log_decay")
    rule_name: ClassVar[str] = "log_sum_exp"

    def join(self, x: Array, y: Array) -> Array:
        xp = namespace(x)
        # The difference is not ``-abs(x - y)``: the gradient of abs at 0 is not 0 on JAX.
        top = xp.maximum(x, y)
        return top + xp.log1p(xp.exp(xp.minimum(x, y) - top))


def log_sum_exp(
    x: Array,
    log_decay: Array = None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """``h_t = log(exp(h_{t-1} + g_t) + exp(x_t))`` over time.

    Args:
        x: ``(..., T, N)``; what is not above -1e38, ``-inf`` too, adds nothing.
        log_decay: ``(..., T, N)`` or what broadcasts to it, as ``(N,)`` where it is constant in time;
            not positive (``-inf`` forgets all); None is no decay.
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
        number.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = {"x": as_floats("x", x, 2, "(..., T, N)")}
    if log_decay is not None:
        inputs["log_decay"] = in_front("log_decay", log_decay, "x", inputs["x"])
    call = Call(starts, valid, method, chunk_size)
    return run_rule(LogSumExp(), inputs, "x", -2, state, initial, call)
