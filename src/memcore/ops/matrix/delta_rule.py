"""The gated delta rule ``S_t = (I - b_t k_t k_t^T) diag(a_t) S_{t-1} + b_t k_t v_t^T``, ``o_t = S_t^T q_t``.

Writing at a key first takes away what stands there: ``u_t = b_t (v_t - a_t S_{t-1}^T k_t)`` and
``S_t = a_t S_{t-1} + k_t u_t^T``. Element ``(M, X)``: ``(M, X) . (N, Y) = (N M, N X + Y)``.

The chunk (WY form, arXiv:2406.06484 and 2412.06464): with ``D_ij`` the decay from j to i and S the state
before the chunk, the writes solve ``(I + L) U = b (V - a_in K S)``, ``L_ij = b_i D_ij k_i . k_j`` for
``j < i``; then ``O = a_in Q S + (Q K^T * D) U``.
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
class DeltaRule(TransitionRule):
    """Inputs ``q, k (..., H, K)``, ``v (..., H, V)``, ``beta (..., H)`` and, if there is one,
    ``log_decay (..., H)`` or ``(..., H, K)``; the state is S ``(..., H, K, V)``."""

    names: ClassVar[tuple[str, ...]] = ("q", "k", "v", "beta", "log_decay")
    rule_name: ClassVar[str] = "delta_rule"

    def lift(self, inputs: Inputs) -> Element:
        k, v, beta = (wide(inputs[name]) for name in ("k", "v", "beta"))
        xp = namespace(k)
        written = (beta[..., None] * k)[..., :, None]
        kept = xp.eye(k.shape[-1], dtype=k.dtype) - written * k[..., None, :]
        decay = decay_of(inputs)
        kept = kept if decay is None else kept * decay[..., None, :]
        return kept, written * v[..., None, :]

    def step(self, state: State, inputs: Inputs) -> State:
        """The same as acting with the lifted element, without its ``K x K`` matrix."""
        k, v, beta = (wide(inputs[name]) for name in ("k", "v", "beta"))
        memory = fade(decay_of(inputs), state)
        found = (k[..., None, :] @ memory)[..., 0, :]
        return memory + k[..., :, None] * (beta[..., None] * (v - found))[..., None, :]

    def _chunk(self, state: State, u: Tree, prepared: Tree, fresh: State) -> tuple[Array, Array]:
        """One chunk: q, k ``(..., H, C, K)``, v ``(..., H, C, V)``, beta ``(..., H, C)``."""
        q, k, v, beta = u["q"] * self.scale, u["k"], u["v"], u["beta"][..., None]
        decays, first = Decays.unpack(u, prepared)
        k_in, q_in = decays.since_entry(k), decays.since_entry(q)
        found = entered(first, lambda s: k_in @ s, state, fresh)
        lower = beta * decays.scores(k, k)
        writes, wrong = contained_solve(lower, beta * (v - found), decays.pairs)
        out = entered(first, lambda s: q_in @ s, state, fresh) + decays.scores(q, k) @ writes
        state = decays.state(last_entry(first, state, fresh, 2), 2)
        state = state + decays.to_end(k).mT @ writes
        return poison(wrong[..., -1], state), poison(wrong, out)


def delta_rule(
    q: Array,
    k: Array,
    v: Array,
    beta: Array,
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
    """The delta rule (arXiv:2102.11174, 2406.06484), gated per head (2412.06464) or per key
    channel (Kimi delta attention, 2510.26692).

    Args:
        q: ``(..., T, H, K)`` queries.
        k: ``(..., T, H, K)`` keys, used as given; of norm 1 for a stable memory.
        v: ``(..., T, H, V)`` values.
        beta: ``(..., T, H)`` writing strengths, in (0, 1), or (0, 2) for negative eigenvalues.
        log_decay: ``(..., T, H)`` per head or ``(..., T, H, K)`` per key channel, not positive (``-inf``
            forgets all); None is no decay.
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
    k, beta = inputs["k"], as_floats("beta", beta, 2, "(..., T, H)")
    check_shape("beta", beta, k.shape[:-1], f"k {tuple(k.shape)}")
    inputs["beta"] = beta
    call = Call(starts, valid, method, chunk_size)
    return run_rule(DeltaRule(scale=as_scale(scale)), inputs, "v", -3, state, initial, call)
