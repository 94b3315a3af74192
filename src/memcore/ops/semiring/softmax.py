"""The softmax memory: ``o_t = sum_j e_tj v_j / sum_j e_tj`` over j <= t, with ``e_tj = exp(s_j + sum
of g_r for j < r <= t)``. Without decay it is the recurrent form of Aaren (arXiv:2405.13956, section
3.1), with a constant one the wkv of RWKV-4 (arXiv:2305.13048, appendix D).

State ``(m, u, w)``: the largest logarithm, and the sum and the weighted sum divided by ``exp(m)``;

    m_t = max(m_{t-1} + g_t, s_t)
    u_t = exp(m_{t-1} + g_t - m_t) u_{t-1} + exp(s_t - m_t)
    w_t = exp(m_{t-1} + g_t - m_t) w_{t-1} + exp(s_t - m_t) v_t
    o_t = w_t / u_t

Empty is ``(FLOOR, 0, 0)``, and what is read from it 0. Element ``(g, (m, u, w))``: it acts on a state
as above, with its own m, u and w in the place of s, 1 and v; two elements combine in the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.backend import asarray_like, broadcast_like, namespace, stop_gradient
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.engine.resets import before_each
from memcore.nn import wide
from memcore.ops.arguments import as_floats, check_shape, in_front
from memcore.ops.floor import FLOOR, floored, forgetting
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import Rule
from memcore.ops.run import keep, run_rule, sum_of_used
from memcore.ops.semiring.max_plus import max_plus
from memcore.types import Reads


def mean(total: Array, weighted: Array) -> Array:
    """``w / u``: 0 where there is nothing."""
    xp = namespace(total)
    total = xp.where(total > 0, total, xp.ones_like(total))
    return weighted / total[..., None]


@dataclass(frozen=True)
class SoftmaxRule(Rule):
    """Inputs ``scores (..., H)``, ``v (..., H, V)`` and, if there is one, ``log_decay``,
    ``(..., H)`` or ``(..., 1)``; the state is ``(m, u, w)``: ``(..., H)``, ``(..., H)``, ``(..., H, V)``."""

    rule_name: ClassVar[str] = "softmax"

    def zeros(self, inputs: Inputs) -> State:
        heads, values = inputs["v"].shape[-2:]
        return np.full(heads, FLOOR), np.zeros(heads), np.zeros((heads, values))

    def lift(self, inputs: Inputs) -> Element:
        score, value = _score(inputs["scores"]), wide(inputs["v"])
        decay = _decay(inputs, score)
        top = floored(score)
        present = namespace(score).exp(score - top)
        return decay, (top, present, present[..., None] * value)

    def binary_op(self, a: Element, b: Element) -> Element:
        decay = None if a[0] is None else a[0] + b[0]
        return decay, self.act(a[1], b)

    def transition(self, inputs: Inputs, used: Array) -> Element:
        return sum_of_used(used, _decay(inputs, wide(inputs["scores"])))

    def act(self, state: State, element: Element) -> State:
        (m, u, w), (decay, (top, total, weighted)) = state, element
        xp = namespace(m)
        old = m if decay is None else m + decay
        m = floored(xp.maximum(old, top))
        kept, new = xp.exp(old - m), xp.exp(top - m)
        w = kept[..., None] * w + new[..., None] * weighted
        return m, kept * u + new * total, w

    def read(self, state: State, inputs: Inputs) -> Reads:
        return mean(*state[1:])

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        """The recurrence of m, one number per head, then two linear ones for all steps (on JAX no forward
        mode)."""
        axis = state[0].ndim - 1
        score = keep(valid, _score(inputs["scores"]), -np.inf)
        decay = _decay(inputs, score)
        decay = namespace(score).zeros_like(score) if decay is None else keep(valid, decay)
        initial = broadcast_like(self.zeros(inputs) if initial is None else initial, state)
        last, m = max_plus(decay, floored(score), state[0], starts=starts, initial=initial[0])
        # A constant from here on: of what is read nothing depends on it, of the state `last` in the end.
        still = stop_gradient(m)
        entering = before_each(state[0], still, starts, initial[0], axis)
        kept, new = (namespace(m).exp(x - still) for x in (entering + decay, score))

        def run(rank: int, a: Array, b: Array, h: Array, fresh: Array) -> tuple[State, Reads]:
            inputs = {"a": a, "b": b}
            return LinearRecurrence(rank).fused(h, inputs, starts, initial=fresh)

        total, totals = run(1, kept, new, state[1], initial[1])
        values = new[..., None] * keep(valid, wide(inputs["v"]))
        weighted, all_weighted = run(2, kept[..., None], values, state[2], initial[2])
        moved = namespace(m).exp(stop_gradient(last) - last)
        after = last, moved * total, moved[..., None] * weighted
        return after, mean(totals, all_weighted)


def _decay(inputs: Inputs, like: Array) -> Array:
    """The log decays in the dtype of states; None where there are none."""
    if "log_decay" not in inputs:
        return None
    return forgetting(asarray_like(inputs["log_decay"], like))


def _score(score: Array) -> Array:
    """Scores in the dtype of states; what is not above the floor is ``-inf``, the score of nothing."""
    score = wide(score)
    xp = namespace(score)
    return xp.where(score <= FLOOR, xp.asarray(-np.inf, dtype=score.dtype), score)


def softmax(
    scores: Array,
    v: Array,
    log_decay: Array = None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """The mean of the values so far, each weighted by the exponential of its score.

    Attention whose query does not change in time, with or without decay, in O(1) per step
    (arXiv:2405.13956).

    Args:
        scores: ``(..., T, H)``; one that is not above -1e38, ``-inf`` too, has no weight.
        v: ``(..., T, H, V)`` values.
        log_decay: ``(..., T, H)`` or what broadcasts to it, as ``(H,)`` where it is constant in time;
            not positive (``-inf`` forgets all); None is no decay.
        state: ``(m, u, w)``, the largest logarithm ``(..., H)``, and the sum ``(..., H)`` and the weighted
            sum ``(..., H, V)`` divided by ``exp(m)``; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        initial: the state at each start; empty, ``(-1e38, 0, 0)``, if None.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"`` (its gradient
            is the recurrence run backwards; no ``jvp``).
        chunk_size: steps per chunk of ``"chunked"``.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``, 0 where nothing has a weight yet; the state of half
        precision inputs is float32. Where two scores are the largest, the gradient of m is shared
        among them in one way or another; that of the outputs does not depend on it.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    scores = as_floats("scores", scores, 2, "(..., T, H)")
    v = as_floats("v", v, 3, "(..., T, H, V)")
    check_shape("v", v, (*scores.shape, v.shape[-1]), f"scores {tuple(scores.shape)}")
    inputs = {"scores": scores, "v": v}
    if log_decay is not None:
        inputs["log_decay"] = in_front("log_decay", log_decay, "scores", scores)
    call = Call(starts, valid, method, chunk_size)
    return run_rule(SoftmaxRule(), inputs, "v", -3, state, initial, call)
