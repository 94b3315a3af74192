"""Linear attention with decay: ``S_t = diag(a_t) S_{t-1} + k_t v_t^T``, ``o_t = S_t^T q_t``.

Normalised: ``z_t = a_t z_{t-1} + k_t`` and ``o_t = S_t^T q_t / (z_t . q_t + 1e-10)``.
Element ``(a, X)``: ``(a, X) . (b, Y) = (b a, b X + Y)``; it acts on S as ``a S + X``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore.backend import broadcast_like, namespace
from memcore.engine.call import Call
from memcore.nn import wide
from memcore.ops.matrix.chunks import Decays, entered, fold_chunks, last_entry, summable
from memcore.ops.rule import Rule, as_floats, as_scale, check_shape, is_zero, run_rule

EPS = 1e-10


def decay_of(inputs: Any) -> Any:
    """``a (..., H, 1)`` or ``(..., H, K)`` from log decays ``(..., H)`` or ``(..., H, K)``; or None."""
    if "log_decay" not in inputs:
        return None
    g = wide(inputs["log_decay"])
    a = namespace(g).exp(g)
    return a if a.ndim == inputs["key"].ndim else a[..., None]


def fade(decay: Any, memory: Any) -> Any:
    """``diag(a) S``; None for ``a`` is no decay."""
    return memory if decay is None else decay[..., None] * memory


def in_time(x: Any, like: Any, ndim: int) -> Any:
    """``x``, which may be constant in time or over the batch, with the first ``ndim`` axes of ``like``."""
    return namespace(x).broadcast_to(x, (*like.shape[:ndim], *x.shape[ndim:]))


@dataclass(frozen=True)
class LinearAttentionRule(Rule):
    """Inputs ``query, key (..., H, K)``, ``value (..., H, V)`` and, if there is one, ``log_decay``
    ``(..., H)`` or ``(..., H, K)``; the state is S ``(..., H, K, V)``, or (S, z) if normalised."""

    normalise: bool = False
    scale: float = 1.0

    rule_name: ClassVar[str] = "linear_attention"

    def zeros(self, inputs: Any) -> Any:
        heads, keys = inputs["key"].shape[-2:]
        values = inputs["value"].shape[-1]
        memory = np.zeros((heads, keys, values))
        return (memory, np.zeros((heads, keys))) if self.normalise else memory

    def lift(self, params: Any, inputs: Any) -> Any:
        k, v = wide(inputs["key"]), wide(inputs["value"])
        written = k[..., :, None] * v[..., None, :]
        written = (written, k) if self.normalise else written
        return decay_of(inputs), written

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        decay = None if a[0] is None else a[0] * b[0]
        return decay, self.act(params, a[1], b)

    def act(self, params: Any, state: Any, element: Any) -> Any:
        decay, written = element
        if not self.normalise:
            return fade(decay, state) + written
        (memory, norm), (x, k) = state, written
        z = norm if decay is None else norm * decay
        return fade(decay, memory) + x, z + k

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        q = wide(inputs["query"]) * self.scale
        memory = state[0] if self.normalise else state
        out = (q[..., None, :] @ memory)[..., 0, :]
        if not self.normalise:
            return out
        return out / (namespace(q).sum(q * state[1], axis=-1)[..., None] + EPS)

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        initial = self.initial_state(params)
        names = ("query", "key", "value", *(("log_decay",) if "log_decay" in inputs else ()))
        axis = (state[0] if self.normalise else state).ndim - 3
        inputs = {name: in_time(inputs[name], inputs["key"], axis + 1) for name in names}
        inputs = summable(inputs)
        fresh = None if is_zero(initial) or starts is None else broadcast_like(initial, state)

        def body(s: Any, u: Any, starts: Any, prepared: Any) -> Any:
            return self._chunk(s, u, prepared, fresh)

        return fold_chunks(
            body, state, inputs, starts, valid, axis, chunk_size, prepare=Decays.prepare
        )

    def _chunk(self, state: Any, u: Any, prepared: Any, fresh: Any) -> tuple[Any, Any]:
        """One chunk: q, k ``(..., H, C, K)``, v ``(..., H, C, V)``, log_decay ``(..., H, C[, K])``."""
        xp = namespace(u["key"])
        q, k, v = u["query"] * self.scale, u["key"], u["value"]
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
    q: Any,
    k: Any,
    v: Any,
    log_decay: Any = None,
    state: Any = None,
    *,
    starts: Any = None,
    valid: Any = None,
    initial: Any = None,
    normalise: bool = False,
    scale: float = 1.0,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[Any, Any]:
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
    return run_rule(rule, inputs, "value", -3, state, initial, call)


def matrix_inputs(q: Any, k: Any, v: Any, log_decay: Any = None) -> dict[str, Any]:
    """The inputs of a matrix memory as arrays; raises where they do not fit together."""
    k = as_floats("k", k, 3, "(..., T, H, K)")
    v = as_floats("v", v, 3, "(..., T, H, V)")
    q = as_floats("q", q, 3, "(..., T, H, K)")
    like = f"k {tuple(k.shape)}"
    check_shape("q", q, k.shape, like)
    check_shape("v", v, (*k.shape[:-1], v.shape[-1]), like)
    inputs = {"query": q, "key": k, "value": v}
    if log_decay is None:
        return inputs
    g = as_floats("log_decay", log_decay, 0, "(..., T, H) or (..., T, H, K)")
    check_shape("log_decay", g, k.shape[: max(g.ndim, k.ndim - 1)], like)
    return {**inputs, "log_decay": g}
