"""The delta rule with a general diagonal-plus-low-rank transition, as in RWKV-7.

``S_t = (diag(d_t) + b_t a_t^T) S_{t-1} + k_t v_t^T``, ``o_t = S_t^T q_t``: what stands at a in the state
before the decay is written at b. Element ``(M, X)``: ``(M, X) . (N, Y) = (N M, N X + Y)``.

The chunk (WY form): with ``D_ij`` the decay from j to i and S the state before the chunk, what is found,
``w_i = S_{i-1}^T a_i``, solves ``(I - L) W = a_in S + M V``, ``L_ij = a_i D_{i-1,j} b_j`` and
``M_ij = a_i D_{i-1,j} k_j`` for ``j < i``; then ``O = q_in S + (Q D K^T) V + (Q D B^T) W``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import namespace
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.engine.resets import poison
from memcore.nn import wide
from memcore.ops.arguments import as_floats, as_scale, check_shape
from memcore.ops.matrix.chunks import Decays, entered, last_entry
from memcore.ops.matrix.inputs import decay_of, fade, matrix_inputs
from memcore.ops.matrix.transition import TransitionRule
from memcore.ops.matrix.triangular import contained_solve
from memcore.ops.run import run_rule
from memcore.types import Tree


@dataclass(frozen=True)
class DPLRDeltaRule(TransitionRule):
    """Inputs ``q, k, a, b (..., H, K)``, ``v (..., H, V)`` and, if there is one, ``log_decay``
    ``(..., H)`` or ``(..., H, K)``; the state is S ``(..., H, K, V)``."""

    names: ClassVar[tuple[str, ...]] = ("q", "k", "v", "a", "b", "log_decay")
    rule_name: ClassVar[str] = "dplr_delta_rule"

    def lift(self, inputs: Inputs) -> Element:
        k, v, a, b = (wide(inputs[name]) for name in ("k", "v", "a", "b"))
        kept = namespace(k).eye(k.shape[-1], dtype=k.dtype)
        decay = decay_of(inputs)
        kept = kept if decay is None else kept * decay[..., None, :]
        return kept + b[..., :, None] * a[..., None, :], k[..., :, None] * v[..., None, :]

    def step(self, state: State, inputs: Inputs) -> State:
        """The same as acting with the lifted element, without its ``K x K`` matrix."""
        k, v, a, b = (wide(inputs[name]) for name in ("k", "v", "a", "b"))
        moved = b[..., :, None] * (a[..., None, :] @ state)
        return fade(decay_of(inputs), state) + moved + k[..., :, None] * v[..., None, :]

    def _chunk(self, state: State, u: Tree, prepared: Tree, fresh: State) -> tuple[Array, Array]:
        """One chunk: q, k, a, b ``(..., H, C, K)``, v ``(..., H, C, V)``."""
        q, k, v, a, b = u["q"] * self.scale, u["k"], u["v"], u["a"], u["b"]
        decays, first = Decays.unpack(u, prepared)
        before = decays.before()
        a_in, q_in = before.since_entry(a), decays.since_entry(q)
        xp = namespace(k)
        written = xp.stack([k, b])
        a_k, a_b = xp.unstack(before.scores(a, written))
        q_k, q_b = xp.unstack(decays.scores(q, written))
        found = entered(first, lambda s: a_in @ s, state, fresh) + a_k @ v
        found, wrong = contained_solve(-a_b, found, decays.pairs)
        out = entered(first, lambda s: q_in @ s, state, fresh) + q_k @ v + q_b @ found
        state = decays.state(last_entry(first, state, fresh, 2), 2)
        state = state + decays.to_end(k).mT @ v + decays.to_end(b).mT @ found
        return poison(wrong[..., -1], state), poison(wrong, out)


def dplr_delta_rule(
    q: Array,
    k: Array,
    v: Array,
    a: Array,
    b: Array,
    log_decay: Array = None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    scale: float = 1.0,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """The delta rule with transition ``diag(d) + b a^T``.

    RWKV-7 (arXiv:2503.14456) has ``a = -kappa`` and ``b = eta * kappa``, kappa of norm 1. The gated delta
    rule is ``a = -d beta k`` and ``b = k`` with values ``beta v``.

    Args:
        q: ``(..., T, H, K)`` queries.
        k: ``(..., T, H, K)`` keys.
        v: ``(..., T, H, V)`` values.
        a: ``(..., T, H, K)``, where the state before the decay is read.
        b: ``(..., T, H, K)``, where what was read is written.
        log_decay: ``log d (..., T, H)`` per head or ``(..., T, H, K)`` per key channel, not positive;
            ``-inf`` leaves ``b a^T`` alone. None is no decay.
        state: ``S (..., H, K, V)``; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        initial: ``(..., H, K, V)``, the state at each start; zero if None.
        scale: factor of the queries.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per chunk.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    inputs = matrix_inputs(q, k, v, log_decay)
    shape = inputs["k"].shape
    for name, x in (("a", a), ("b", b)):
        inputs[name] = as_floats(name, x, 3, "(..., T, H, K)")
        check_shape(name, inputs[name], shape, f"k {tuple(shape)}")
    call = Call(starts, valid, method, chunk_size)
    return run_rule(DPLRDeltaRule(scale=as_scale(scale)), inputs, "v", -3, state, initial, call)
