"""The matrix memory of the xLSTM, whose gates are exponential (mLSTM, arXiv:2405.04517).

    C_t = f_t C_{t-1} + i_t k_t v_t^T,  n_t = f_t n_{t-1} + i_t k_t,  f_t = exp(g_t),  i_t = exp(i~_t)
    h_t = C_t^T q_t / max(|n_t . q_t|, 1)

``exp(i~)`` overflows, so the state is ``(S, z, m)`` with ``C = exp(m) S`` and ``n = exp(m) z``:

    m_t = max(g_t + m_{t-1}, i~_t)
    S_t = exp(g_t + m_{t-1} - m_t) S_{t-1} + exp(i~_t - m_t) k_t v_t^T, and z_t likewise
    h_t = S_t^T q_t / max(|z_t . q_t|, exp(-m_t))

Element ``(g, (X, x, m))``: the decay of some steps and what they write, stabilised the same way;
``(g, A) . (f, B) = (g + f, B after A decayed by f)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.backend import namespace
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.nn import wide
from memcore.ops.arguments import as_floats, as_number, as_scale, check_shape
from memcore.ops.floor import FLOOR, floored, forgetting
from memcore.ops.matrix.chunks import (
    entered,
    fold_chunks,
    last_entry,
    same_segment,
    sum_between,
    sum_since_entry,
)
from memcore.ops.matrix.inputs import in_time, matrix_inputs
from memcore.ops.rule import Rule, fresh_state
from memcore.ops.run import run_rule, sum_of_used
from memcore.types import Reads, Tree


@dataclass(frozen=True)
class MLSTMRule(Rule):
    """Inputs ``q, k (..., H, K)``, ``v (..., H, V)``, ``log_input`` and ``log_forget``
    ``(..., H)``; the state is (S, z, m) of shapes ``(..., H, K, V)``, ``(..., H, K)``, ``(..., H)``."""

    scale: float = 1.0
    eps: float = 1e-6

    rule_name: ClassVar[str] = "mlstm"
    state_ndim: ClassVar[int] = 3

    def zeros(self, inputs: Inputs) -> State:
        heads, keys = inputs["k"].shape[-2:]
        values = inputs["v"].shape[-1]
        return np.zeros((heads, keys, values)), np.zeros((heads, keys)), np.zeros(heads)

    def empty(self, inputs: Inputs) -> State:
        memory, norm, m = self.zeros(inputs)
        return memory, norm, np.full_like(m, FLOOR)

    def lift(self, inputs: Inputs) -> Element:
        k, v, log_input = (wide(inputs[name]) for name in ("k", "v", "log_input"))
        written = k[..., :, None] * v[..., None, :]
        return forgetting(wide(inputs["log_forget"])), (written, k, floored(log_input))

    def binary_op(self, a: Element, b: Element) -> Element:
        return a[0] + b[0], self.act(a[1], b)

    def transition(self, inputs: Inputs, used: Array) -> Element:
        return sum_of_used(used, forgetting(wide(inputs["log_forget"])))

    def act(self, state: State, element: Element) -> State:
        (memory, norm, m), (g, (written, k, log_input)) = state, element
        xp = namespace(m)
        faded = g + m
        m = xp.maximum(faded, log_input)
        f, i = xp.exp(faded - m)[..., None], xp.exp(log_input - m)[..., None]
        return f[..., None] * memory + i[..., None] * written, f * norm + i * k, m

    def read(self, state: State, inputs: Inputs) -> Reads:
        q = wide(inputs["q"]) * self.scale
        found = (q[..., None, :] @ state[0])[..., 0, :]
        return self._normalised(found, namespace(q).sum(q * state[1], axis=-1), state[2])

    def _normalised(self, found: Array, norm: Array, m: Array) -> Array:
        """``S^T q / (max(|z . q|, exp(-m)) + eps)``."""
        xp = namespace(m)
        # exp(-m) neither overflows nor vanishes, and nor does its square, which is in the gradient.
        limit = 0.5 * math.log(float(xp.finfo(m.dtype).max))
        least = xp.exp(xp.clip(-m, -limit, limit))
        return found / (xp.maximum(xp.abs(norm), least) + self.eps)[..., None]

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        axis = state[2].ndim - 1
        names = ("q", "k", "v", "log_input", "log_forget")
        inputs = {name: in_time(inputs[name], inputs["k"], axis + 1) for name in names}
        inputs["log_forget"] = forgetting(wide(inputs["log_forget"]))
        fresh = fresh_state(initial, state, starts)

        def body(fresh: State, s: State, u: Tree, starts: Starts, prepared: Tree) -> Tree:
            return self._chunk(s, u, starts, fresh)

        return fold_chunks(
            body, fresh, state, inputs, starts, valid, axis, chunk_size, {"log_input": FLOOR}
        )

    def _chunk(self, state: State, u: Tree, starts: Starts, fresh: State) -> tuple[Array, Array]:
        """One chunk: q, k ``(..., H, C, K)``, v ``(..., H, C, V)``, the gates ``(..., H, C)``."""
        q, k, v, g = u["q"] * self.scale, u["k"], u["v"], u["log_forget"]
        xp, (memory, norm, m) = namespace(k), state
        new, new_norm, new_m = (None, None, None) if fresh is None else fresh
        pairs, first = same_segment(starts, k.shape[-2], xp)

        # In logs: what step i finds of the write at j, and of the state that its segment began with.
        written = sum_between(g) + floored(u["log_input"])[..., None, :]
        written = xp.where(pairs, written, xp.asarray(-math.inf, dtype=g.dtype))
        before = entered(first, lambda m: m[..., None, None], m, new_m)[..., 0]
        kept = before + sum_since_entry(g, pairs)
        top = xp.maximum(kept, xp.max(written, axis=-1))
        weights, kept = xp.exp(written - top[..., None]), xp.exp(kept - top)

        scores = xp.where(pairs, (q @ k.mT) * weights, xp.zeros_like(weights))
        q_in = q * kept[..., None]
        found = scores @ v + entered(first, lambda s: q_in @ s, memory, new)
        seen = entered(first, lambda z: q_in @ z[..., None], norm, new_norm)[..., 0]
        out = self._normalised(found, xp.sum(scores, axis=-1) + seen, top)

        k_out, kept = k * weights[..., -1, :, None], kept[..., -1:]
        memory = kept[..., None] * last_entry(first, memory, new, 2) + k_out.mT @ v
        norm = kept * last_entry(first, norm, new_norm, 1) + xp.sum(k_out, axis=-2)
        return (memory, norm, top[..., -1]), out


def mlstm(
    q: Array,
    k: Array,
    v: Array,
    log_input: Array,
    log_forget: Array,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    scale: float = 1.0,
    eps: float = 1e-6,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """The mLSTM: a matrix memory with exponential gates (arXiv:2405.04517).

    Args:
        q: ``(..., T, H, K)`` queries.
        k: ``(..., T, H, K)`` keys, used as given.
        v: ``(..., T, H, V)`` values.
        log_input: ``(..., T, H)``, the log of the input gate, which is its pre-activation; ``-inf``
            writes nothing.
        log_forget: ``(..., T, H)``, the log of the forget gate (``logsigmoid`` of its pre-activation), not
            positive; ``-inf`` forgets all.
        state: ``(S (..., H, K, V), z (..., H, K), m (..., H))``, the memory and its normaliser, both
            divided by ``exp(m)``; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        initial: ``(S, z, m)`` at each start; zeros if None, m among them, as in the public
            implementations (the outputs without ``eps`` do not depend on it, the states do).
        scale: factor of the queries; the published models take ``K^-0.5``.
        eps: added to the denominator ``max(|z . q|, exp(-m))``, as in the public implementations; the
            paper has none.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per chunk.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``; the state of half precision inputs is float32. Where two
        logarithms are the largest, the gradient of m, and so of S and z, is shared among them in one way or
        another; that of the outputs does not depend on it, but for ``eps``.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = matrix_inputs(q, k, v)
    shape = inputs["k"].shape
    for name, x in (("log_input", log_input), ("log_forget", log_forget)):
        inputs[name] = as_floats(name, x, 2, "(..., T, H)")
        check_shape(name, inputs[name], shape[:-1], f"k {tuple(shape)}")
    rule = MLSTMRule(scale=as_scale(scale), eps=as_number("eps", eps))
    call = Call(starts, valid, method, chunk_size)
    return run_rule(rule, inputs, "v", -3, state, initial, call)
