"""Products of n delta rules per step: ``S <- a_t S`` and then n writes, one after the other.

The transition ``(I - b_n k_n k_n^T) ... (I - b_1 k_1 k_1^T) a_t`` has rank n beside its decay: with n = 2 and
b in (0, 2) it contains rotations. A step of it is n steps of the delta rule, of which the first alone decays
and the last alone is read.
"""

from __future__ import annotations

from memcore.backend import namespace
from memcore.cell import Array, Starts, State
from memcore.engine.checks import as_array, check_flags
from memcore.ops.arguments import as_floats, check_shape
from memcore.ops.matrix.delta_rule import delta_rule


def delta_product(
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
    """DeltaProduct (arXiv:2502.10297): n writes of the delta rule per step, gated or not.

    Args:
        q: ``(..., T, H, K)`` queries.
        k: ``(..., T, n, H, K)`` keys of the n writes, in their order.
        v: ``(..., T, n, H, V)`` values.
        beta: ``(..., T, n, H)`` writing strengths, in (0, 1), or (0, 2) for negative eigenvalues.
        log_decay: ``(..., T, H)`` per head or ``(..., T, H, K)`` per key channel, not positive; it acts
            once a step, before the writes. None is no decay.
        state: ``S (..., H, K, V)``; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps leave the state as it is, and their output is 0.
        initial: ``(..., H, K, V)``, the state at each start; zero if None.
        scale: factor of the queries.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: writes per chunk: ``n`` times the steps.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    q, k, v, beta, log_decay = _arrays(q, k, v, beta, log_decay)
    (length, writes), axis = k.shape[-4:-2], k.ndim - 4
    lead = k.shape[:-3]
    starts, valid = (
        check_flags(name, as_array(flags, name), q, lead, "q")
        for name, flags in (("starts", starts), ("valid", valid))
    )

    def join(x: Array) -> Array:
        """``(..., T, n, *)`` to ``(..., T * n, *)``."""
        shape = (*x.shape[:axis], length * writes, *x.shape[axis + 2 :])
        return namespace(x).reshape(x, shape)

    def only(place: int, x: Array) -> Array:
        """``x (..., T, *)`` at one of the n places of each step, zeros at the others."""
        if x is None:
            return None
        xp = namespace(x)
        blank = [xp.zeros_like(x)] * writes
        blank[place] = x
        return join(xp.stack(blank, axis=axis + 1))

    state, out = delta_rule(
        only(-1, q),
        join(k),
        join(v),
        join(beta),
        only(0, log_decay),
        state,
        starts=only(0, starts),
        valid=None if valid is None else join(namespace(valid).stack([valid] * writes, axis=-1)),
        initial=initial,
        scale=scale,
        method=method,
        chunk_size=chunk_size,
    )
    out = namespace(out).reshape(out, (*lead, writes, *out.shape[-2:]))
    return state, out[..., -1, :, :]


def _arrays(q: Array, k: Array, v: Array, beta: Array, log_decay: Array) -> tuple[Array, ...]:
    """The arguments as arrays; raises where they do not fit together."""
    k = as_floats("k", k, 4, "(..., T, n, H, K)")
    like = f"k {tuple(k.shape)}"
    if not k.shape[-3]:
        raise ValueError(f"k has shape {tuple(k.shape)}, expected (..., T, n, H, K) with n >= 1")
    step = (*k.shape[:-3], *k.shape[-2:])
    q = as_floats("q", q, 3, "(..., T, H, K)")
    check_shape("q", q, step, like)
    v = as_floats("v", v, 4, "(..., T, n, H, V)")
    check_shape("v", v, (*k.shape[:-1], v.shape[-1]), like)
    beta = as_floats("beta", beta, 3, "(..., T, n, H)")
    check_shape("beta", beta, k.shape[:-1], like)
    if log_decay is not None:
        log_decay = as_floats("log_decay", log_decay, 0, "(..., T, H) or (..., T, H, K)")
        check_shape("log_decay", log_decay, step[: max(log_decay.ndim, len(step) - 1)], like)
    return q, k, v, beta, log_decay
