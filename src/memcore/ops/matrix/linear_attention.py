"""Linear attention with decay: ``S_t = diag(a_t) S_{t-1} + k_t v_t^T``, ``o_t = S_t^T q_t``.

Normalised: ``z_t = a_t z_{t-1} + k_t`` and ``o_t = S_t^T q_t / (z_t . q_t + 1e-10)``.
Element ``(a, X)``: ``(a, X) . (b, Y) = (b a, b X + Y)``; it acts on S as ``a S + X``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.backend import namespace
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.nn import wide
from memcore.ops.arguments import as_scale
from memcore.ops.matrix.chunks import Decays, entered, fold_chunks, last_entry, summable
from memcore.ops.matrix.inputs import decay_of, fade, in_time, matrix_inputs
from memcore.ops.rule import Rule, fresh_state
from memcore.ops.run import run_rule, sum_of_used
from memcore.types import Reads, Tree

EPS = 1e-10


@dataclass(frozen=True)
class LinearAttentionRule(Rule):
    """Inputs ``q, k (..., H, K)``, ``v (..., H, V)`` and, if there is one, ``log_decay``
    ``(..., H)`` or ``(..., H, K)``; the state is S ``(..., H, K, V)``, or (S, z) if normalised."""

    normalise: bool = False
    scale: float = 1.0

    rule_name: ClassVar[str] = "linear_attention"
    state_ndim: ClassVar[int] = 3

    def zeros(self, inputs: Inputs) -> State:
        heads, keys = inputs["k"].shape[-2:]
        values = inputs["v"].shape[-1]
        memory = np.zeros((heads, keys, values))
        return (memory, np.zeros((heads, keys))) if self.normalise else memory

    def lift(self, inputs: Inputs) -> Element:
        k, v = wide(inputs["k"]), wide(inputs["v"])
        written = k[..., :, None] * v[..., None, :]
        written = (written, k) if self.normalise else written
        return decay_of(inputs), written

    def binary_op(self, a: Element, b: Element) -> Element:
        decay = None if a[0] is None else a[0] * b[0]
        return decay, self.act(a[1], b)

    def transition(self, inputs: Inputs, used: Array) -> Element:
        if "log_decay" not in inputs:
            return None
        g = wide(inputs["log_decay"])
        decay = namespace(g).exp(sum_of_used(used, g))
        return decay if g.ndim == inputs["k"].ndim else decay[..., None]

    def act(self, state: State, element: Element) -> State:
        decay, written = element
        if not self.normalise:
            return fade(decay, state) + written
        (memory, norm), (x, k) = state, written
        z = norm if decay is None else norm * decay
        return fade(decay, memory) + x, z + k

    def read(self, state: State, inputs: Inputs) -> Reads:
        q = wide(inputs["q"]) * self.scale
        memory = state[0] if self.normalise else state
        out = (q[..., None, :] @ memory)[..., 0, :]
        if not self.normalise:
            return out
        return out / (namespace(q).sum(q * state[1], axis=-1)[..., None] + EPS)

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        names = ("q", "k", "v", *(("log_decay",) if "log_decay" in inputs else ()))
        axis = (state[0] if self.normalise else state).ndim - 3
        inputs = {name: in_time(inputs[name], inputs["k"], axis + 1) for name in names}
        inputs = summable(inputs)
        fresh = fresh_state(initial, state, starts)

        def body(fresh: State, s: State, u: Tree, starts: Starts, prepared: Tree) -> Tree:
            return self._chunk(s, u, prepared, fresh)

        return fold_chunks(
            body, fresh, state, inputs, starts, valid, axis, chunk_size, prepare=Decays.prepare
        )

    def _chunk(self, state: State, u: Tree, prepared: Tree, fresh: State) -> tuple[Array, Array]:
        """One chunk: q, k ``(..., H, C, K)``, v ``(..., H, C, V)``, log_decay ``(..., H, C[, K])``."""
        xp = namespace(u["k"])
        q, k, v = u["q"] * self.scale, u["k"], u["v"]
        decays, first = Decays.unpack(u, prepared)
        scores, q_in, k_out = decays.scores(q, k), decays.since_entry(q), decays.to_end(k)
        memory, norm = state if self.normalise else (state, None)
        new, new_norm = fresh if self.normalise and fresh is not None else (fresh, None)

        out = scores @ v + entered(first, lambda s: q_in @ s, memory, new)
        memory = decays.state(last_entry(first, memory, new, 2), 2) + k_out.mT @ v
        if not self.normalise:
            return memory, out
        seen = entered(first, lambda z: q_in @ z[..., None], norm, new_norm)
        out = out / (xp.sum(scores, axis=-1)[..., None] + seen + EPS)
        norm = decays.state(last_entry(first, norm, new_norm, 1), 1) + xp.sum(k_out, axis=-2)
        return (memory, norm), out


def linear_attention(
    q: Array,
    k: Array,
    v: Array,
    log_decay: Array = None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    normalise: bool = False,
    scale: float = 1.0,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """Causal linear attention, with or without decay and normaliser (arXiv:2006.16236).

    Args:
        q: ``(..., T, H, K)`` queries; a feature map, where there is one, is applied already.
        k: ``(..., T, H, K)`` keys.
        v: ``(..., T, H, V)`` values.
        log_decay: ``(..., T, H)`` per head or ``(..., T, H, K)`` per key channel, not positive (``-inf``
            forgets all); None is no decay.
        state: ``S (..., H, K, V)``, or ``(S, z)`` with ``z (..., H, K)`` if normalised; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        initial: the state at each start; zero if None.
        normalise: whether to divide by ``z . q + 1e-10``.
        scale: factor of the queries.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per chunk.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = matrix_inputs(q, k, v, log_decay)
    rule = LinearAttentionRule(normalise=normalise, scale=as_scale(scale))
    call = Call(starts, valid, method, chunk_size)
    return run_rule(rule, inputs, "v", -3, state, initial, call)
