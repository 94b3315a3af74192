"""Memora: a memory whose weights are distributions, kept close to the old ones by their divergence.

W_t = softmax(keep_t log W_{t-1} - 2 rate_t k_t^T e_t) over the keys,   e_t = k_t W_{t-1} - v_t
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
class MemoraRule(MirasRule):
    """Inputs ``q, k, v (..., H, D)`` and ``rate, keep (..., H)``; the state is W ``(H, D, D)``, positive."""

    rule_name: ClassVar[str] = "memora"

    def slope(self, error: Array, inputs: Inputs) -> Array:
        return 2.0 * error

    def kept(self, state: State, written: Array, inputs: Inputs) -> State:
        xp = namespace(state)
        # a weight that underflows would stay zero for ever
        least = xp.asarray(xp.finfo(state.dtype).smallest_normal, dtype=state.dtype)
        logits = inputs["keep"][..., None, None] * xp.log(xp.maximum(state, least)) - written
        weights = xp.exp(logits - xp.max(logits, axis=-2, keepdims=True))
        return weights / xp.sum(weights, axis=-2, keepdims=True)


def memora(
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
    """Memora with a linear memory (Miras, arXiv:2504.13173, equation 27), token by token, read after write.

        W_t = softmax(keep_t log W_{t-1} - 2 rate_t k_t^T e_t),   e_t = k_t W_{t-1} - v_t,   out_t = q_t W_t

    The softmax runs over the keys: for every output the weights of the inputs sum to 1 (a row of the paper's
    matrix, which acts from the left).

    Args:
        q: ``(..., T, H, D)`` queries.
        k: ``(..., T, H, D)`` keys, used as given; of norm 1 for a stable memory.
        v: ``(..., T, H, D)`` values.
        rate: ``(..., T, H)`` inner learning rates, eta.
        keep: ``(..., T, H)`` in [0, 1], alpha: what multiplies the logarithms of the old weights.
        weight: ``(..., H, D, D)``, the weights at starts: positive, and of sum 1 over the second axis from
            the end.
        state: ``W (..., H, D, D)``; ``weight`` if None.
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
    rule = MemoraRule(inputs["q"].shape[-1])
    return run_miras(rule, inputs, weight, state, Call(starts, valid, method, chunk_size))
