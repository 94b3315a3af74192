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

from memcore.backend import asarray_like, broadcast_like, namespace
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.nn import wide
from memcore.ops.arguments import as_floats, check_shape, in_front
from memcore.ops.floor import FLOOR, floored, forgetting
from memcore.ops.matrix.chunks import fold_chunks, same_segment, sum_between, sum_since_entry
from memcore.ops.matrix.inputs import in_time
from memcore.ops.rule import Rule
from memcore.ops.run import run_rule, sum_of_used
from memcore.types import Reads, Tree


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
        axis = state[0].ndim - 1
        inputs = {n: inputs[n] for n in ("scores", "v", "log_decay") if n in inputs}
        decay = _decay(inputs, state[0])
        if decay is not None:
            inputs["log_decay"] = in_time(decay, inputs["scores"], axis + 1)
        initial = self.zeros(inputs) if initial is None else initial
        fresh = None if starts is None else broadcast_like(initial, state)

        def body(s: State, u: Tree, starts: Starts) -> Tree:
            return self._chunk(s, u, starts, fresh)

        nothing = {"scores": -np.inf}
        return fold_chunks(body, state, inputs, starts, valid, axis, chunk_size, nothing)

    def _chunk(self, state: State, u: Tree, starts: Starts, fresh: State) -> tuple[Array, Array]:
        """One chunk: score and log_decay ``(..., H, C)``, v ``(..., H, C, V)``.

        The weights ``(C, C)`` of a row are divided by the exponential of its own largest logarithm, of
        the incoming state's too: they never exceed 1.
        """
        score, v, g = _score(u["scores"]), u["v"], u.get("log_decay")
        xp = namespace(score)
        pairs, first = same_segment(starts, score.shape[-1], xp)
        logits = score[..., None, :] if g is None else score[..., None, :] + sum_between(g)
        logits = xp.where(pairs, logits, xp.asarray(-np.inf, dtype=score.dtype))
        m, total, weighted = _rows(state)
        if first is not None:  # what each step's segment began with
            new = _rows(fresh)
            m, total = (xp.where(first, a, b) for a, b in ((m, new[0]), (total, new[1])))
            weighted = xp.where(first[..., None], weighted, new[2])
        entry = m if g is None else m + sum_since_entry(g, pairs)
        m = floored(xp.maximum(xp.max(logits, axis=-1), entry))
        weights, kept = xp.exp(logits - m[..., None]), xp.exp(entry - m)
        total = xp.sum(weights, axis=-1) + kept * total
        weighted = weights @ v + kept[..., None] * weighted
        return (m[..., -1], total[..., -1], weighted[..., -1, :]), mean(total, weighted)


def _decay(inputs: Inputs, like: Array) -> Array:
    """The log decays in the dtype of states; None where there are none."""
    if "log_decay" not in inputs:
        return None
    return forgetting(asarray_like(inputs["log_decay"], like))


def _score(score: Array) -> Array:
    """Scores in the dtype of states; what is not above the floor is ``-inf``, the score of nothing."""
    score = wide(score)
    xp = namespace(score)
    return xp.where(score > FLOOR, score, xp.asarray(-np.inf, dtype=score.dtype))


def _rows(state: State) -> tuple[Array, Array, Array]:
    """A state with an axis of length 1 for the steps of a chunk."""
    m, u, w = state
    return m[..., None], u[..., None], w[..., None, :]


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
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per chunk.

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
