"""Moneta: a memory whose loss is a cubic norm and whose weights are normed by their fourth powers.

A_t = keep_t A_{t-1} - rate_t k_t^T g_t,   g_t = 3 sgn(e_t) e_t^2,   e_t = k_t W_{t-1} - v_t
W_t = A_t / |A_t|_4^2,   |A|_4^2 = sqrt(sum A_ij^4)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.ops.inner.miras import MirasRule, run_miras
from memcore.ops.inner.rule import headed


@dataclass(frozen=True)
class MonetaRule(MirasRule):
    """Inputs ``q, k, v (..., H, D)`` and ``rate, keep (..., H)``; the state is A ``(H, D, D)``."""

    rule_name: ClassVar[str] = "moneta"

    def matrix(self, state: State) -> Array:
        xp = namespace(state)
        total = xp.sum(state**4, axis=(-2, -1), keepdims=True)
        least = xp.asarray(xp.finfo(state.dtype).smallest_normal, dtype=state.dtype)
        return state / xp.sqrt(xp.maximum(total, least))

    def slope(self, error: Array, inputs: Inputs) -> Array:
        return 3.0 * error * namespace(error).abs(error)


def moneta(
    q: Array,
    k: Array,
    v: Array,
    rate: Array,
    keep: Array,
    weight: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """Moneta with a linear memory and (p, q) = (3, 4) (Miras, arXiv:2504.13173, equation 25), token by token,
    read after write.

        A_t = keep_t A_{t-1} - rate_t 3 k_t^T (sgn(e_t) e_t^2),   e_t = k_t W_{t-1} - v_t
        W_t = A_t / |A_t|_4^2,   out_t = q_t W_t

    The norm is over both axes of the matrix. The paper's smooth sign and absolute value are exact here, and
    the gradient is not taken through the quotient.

    Args:
        q: ``(..., T, H, D)`` queries.
        k: ``(..., T, H, D)`` keys, used as given; of norm 1 for a stable memory.
        v: ``(..., T, H, D)`` values.
        rate: ``(..., T, H)`` inner learning rates, eta.
        keep: ``(..., T, H)`` in [0, 1], alpha: what multiplies the old A.
        weight: ``(..., H, D, D)``, A at starts; that of zero is W = 0, which learns on.
        state: ``A (..., H, D, D)``; ``weight`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``weight``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        method: ``"auto"``, ``"sequential"`` or ``"fused"``, which keeps one state per chunk for the gradient.
        chunk_size: steps per chunk.

    Returns:
        ``(state, out)`` with ``out (..., T, H, D)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = headed(q, k, v, rate=rate, keep=keep)
    rule = MonetaRule(inputs["q"].shape[-1])
    return run_miras(rule, inputs, weight, state, Call(starts, valid, method, chunk_size))
