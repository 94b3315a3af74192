"""The gated delta rule ``S_t = (I - b_t k_t k_t^T) diag(a_t) S_{t-1} + b_t k_t v_t^T``, ``o_t = S_t^T q_t``.

Writing at a key first takes away what stands there: ``u_t = b_t (v_t - a_t S_{t-1}^T k_t)`` and
``S_t = a_t S_{t-1} + k_t u_t^T``. Element ``(M, X)``: ``(M, X) . (N, Y) = (N M, N X + Y)``.

The chunk (WY form, arXiv:2406.06484 and 2412.06464): with ``D_ij`` the decay from j to i and S the state
before the chunk, the writes solve ``(I + L) U = b (V - a_in K S)``, ``L_ij = b_i D_ij k_i . k_j`` for
``j < i``; then ``O = a_in Q S + (Q K^T * D) U``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore import backend
from memcore.backend import asarray_like, broadcast_like, namespace
from memcore.engine.call import Call
from memcore.nn import wide
from memcore.ops.matrix.chunks import Decays, entered, fold_chunks, last_entry, summable
from memcore.ops.matrix.linear_attention import decay_of, fade, in_time, matrix_inputs
from memcore.ops.rule import Rule, as_floats, as_scale, check_shape, is_zero, run_rule


@dataclass(frozen=True)
class DeltaRule(Rule):
    """Inputs ``query, key (..., H, K)``, ``value (..., H, V)``, ``beta (..., H)`` and, if there is one,
    ``log_decay (..., H)`` or ``(..., H, K)``; the state is S ``(..., H, K, V)``."""

    scale: float = 1.0

    names: ClassVar[tuple[str, ...]] = ("query", "key", "value", "beta", "log_decay")
    """The inputs, of which the last is optional."""
    rule_name: ClassVar[str] = "delta_rule"

    def zeros(self, inputs: Any) -> Any:
        return np.zeros((*inputs["key"].shape[-2:], inputs["value"].shape[-1]))

    def lift(self, params: Any, inputs: Any) -> Any:
        k, v, beta = (wide(inputs[name]) for name in ("key", "value", "beta"))
        xp = namespace(k)
        written = (beta[..., None] * k)[..., :, None]
        kept = xp.eye(k.shape[-1], dtype=k.dtype) - written * k[..., None, :]
        decay = decay_of(inputs)
        kept = kept if decay is None else kept * decay[..., None, :]
        return kept, written * v[..., None, :]

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        return b[0] @ a[0], b[0] @ a[1] + b[1]

    def act(self, params: Any, state: Any, element: Any) -> Any:
        return element[0] @ state + element[1]

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        """The same as acting with the lifted element, without its ``K x K`` matrix."""
        k, v, beta = (wide(inputs[name]) for name in ("key", "value", "beta"))
        memory = fade(decay_of(inputs), state)
        found = (k[..., None, :] @ memory)[..., 0, :]
        return memory + k[..., :, None] * (beta[..., None] * (v - found))[..., None, :]

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        return ((wide(inputs["query"]) * self.scale)[..., None, :] @ state)[..., 0, :]

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        initial, axis = self.initial_state(params), state.ndim - 3
        inputs = {
            name: in_time(inputs[name], inputs["key"], axis + 1)
            for name in self.names
            if name in inputs
        }
        inputs = summable(inputs)
        fresh = None if is_zero(initial) or starts is None else broadcast_like(initial, state)

        def body(s: Any, u: Any, starts: Any, prepared: Any) -> Any:
            return self._chunk(s, u, prepared, fresh)

        return fold_chunks(
            body, state, inputs, starts, valid, axis, chunk_size, prepare=Decays.prepare
        )

    def _chunk(self, state: Any, u: Any, prepared: Any, fresh: Any) -> tuple[Any, Any]:
        """One chunk: q, k ``(..., H, C, K)``, v ``(..., H, C, V)``, beta ``(..., H, C)``."""
        q, k, v, beta = u["query"] * self.scale, u["key"], u["value"], u["beta"][..., None]
        decays, first = Decays.unpack(u, prepared)
        k_in, q_in = decays.since_entry(k), decays.since_entry(q)
        found = entered(first, lambda s: k_in @ s, state, fresh)
        writes = unit_lower_solve(beta * decays.scores(k, k), beta * (v - found))
        out = entered(first, lambda s: q_in @ s, state, fresh) + decays.scores(q, k) @ writes
        state = decays.state(last_entry(first, state, fresh, 2), 2)
        return state + decays.to_end(k).mT @ writes, out


def unit_lower_solve(lower: Any, b: Any) -> Any:
    """``x`` of ``(I + L) x = b``, L being what lies below the diagonal of ``lower (..., C, C)``.

    As accurate as substitution, in matmuls: the inverse, and one refinement. With repeated keys and
    strengths near 2 the inverse alone loses two more digits, how many depends on the machine's matmuls.
    """
    return backend.unit_lower_solve(unit_lower_inverse, lower, b)


def unit_lower_inverse(lower: Any) -> Any:
    """``(I + L)^-1`` in log2(C) rounds of matmuls.

    Diagonal blocks are inverted and joined, pair by pair: ``[[A, 0], [L, B]]^-1`` has the lower part
    ``-B^-1 L A^-1``. The product of ``I + (-L)^(2^i)`` would lose all digits to cancellation once keys
    repeat (powers of L grow like binomials).
    """
    xp = namespace(lower)
    size = lower.shape[-1]
    found, width = xp.broadcast_to(xp.eye(size, dtype=lower.dtype), lower.shape), 1
    while width < size:
        row = np.arange(size)[:, None] // width
        joins = (row % 2 == 1) & (row == row.T + 1)
        block = xp.where(asarray_like(joins, lower), lower, xp.zeros_like(lower))
        found = found - (block if width == 1 else found @ block @ found)
        width *= 2
    return found


def delta_rule(
    q: Any,
    k: Any,
    v: Any,
    beta: Any,
    log_decay: Any = None,
    state: Any = None,
    *,
    starts: Any = None,
    valid: Any = None,
    initial: Any = None,
    scale: float = 1.0,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[Any, Any]:
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
    k, beta = inputs["key"], as_floats("beta", beta, 2, "(..., T, H)")
    check_shape("beta", beta, k.shape[:-1], f"k {tuple(k.shape)}")
    inputs["beta"] = beta
    call = Call(starts, valid, method, chunk_size)
    return run_rule(DeltaRule(scale=as_scale(scale)), inputs, "value", -3, state, initial, call)
