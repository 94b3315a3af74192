"""What the fused forms share: chunks, the segments inside them, and decays between their steps.

Inside a chunk the segments are numbered by a running sum of the starts. Pairs of steps in different
segments do not interact; segment 0 continues the incoming state, a later one begins at the initial
state, and only the last one writes the outgoing state. Decays are sums over the steps between, never
differences of two running sums, which cancel and leak across starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memcore.backend import checkpoint, fold, namespace, tree_leaves, tree_map
from memcore.ops.rule import keep, wide
from memcore.resets import segments


def fold_chunks(
    body: Callable[..., Any], state: Any, inputs: Any, starts: Any, valid: Any, axis: int,
    chunk_size: int,
) -> tuple[Any, Any]:  # fmt: skip
    """Fold ``body(state, inputs, starts)`` over chunks of time; ``(state, out)``.

    Leaves of ``inputs`` are ``(*batch, T, H, ...)`` and arrive as ``(*batch, H, C, ...)``; starts
    ``(*batch, T)`` arrive as ``(*batch, 1, C)``; ``out (*batch, H, C, V)`` comes back as
    ``(*batch, T, H, V)``. Steps that are not valid, and the padding of the last chunk, are zeros:
    a rule must leave its state as it is where all inputs are zero.
    """
    length = tree_leaves(inputs)[0].shape[axis]
    chunk_size = min(chunk_size, length)
    chunks = -(-length // chunk_size)
    inputs = tree_map(lambda x: _cut(keep(valid, wide(x)), axis, chunks, chunk_size), inputs)
    inputs = tree_map(lambda x: namespace(x).moveaxis(x, axis + 2, axis + 1), inputs)
    if starts is not None:
        starts = _cut(starts, axis, chunks, chunk_size)[..., None, :]
    step = checkpoint(lambda s, slot: body(s, *slot), state)
    state, out = fold(step, state, (inputs, starts), chunks)
    xp = namespace(out)
    out = xp.moveaxis(xp.moveaxis(out, -3, -2), 0, axis)
    out = xp.reshape(out, (*out.shape[:axis], chunks * chunk_size, *out.shape[axis + 2 :]))
    return state, out[(slice(None),) * axis + (slice(0, length), ...)]


def _cut(x: Any, axis: int, chunks: int, chunk_size: int) -> Any:
    """``(*batch, T, ...)`` to ``(chunks, *batch, C, ...)``, padded with zeros."""
    xp = namespace(x)
    missing = chunks * chunk_size - x.shape[axis]
    if missing:
        shape = (*x.shape[:axis], missing, *x.shape[axis + 1 :])
        x = xp.concat([x, xp.zeros(shape, dtype=x.dtype)], axis=axis)
    x = xp.reshape(x, (*x.shape[:axis], chunks, chunk_size, *x.shape[axis + 1 :]))
    return xp.moveaxis(x, axis, 0)


def same_segment(starts: Any, size: int, xp: Any) -> tuple[Any, Any]:
    """``(pairs, first)``: may step j speak to step i, ``(..., 1, C, C)``; is i in segment 0."""
    i = xp.arange(size)
    causal = i[:, None] >= i
    if starts is None:
        return causal, None
    number = segments(starts)
    return causal & (number[..., :, None] == number[..., None, :]), number == 0


def decay_between(log_decay: Any, pairs: Any) -> Any:
    """``exp(sum of g_s for j < s <= i)`` for allowed pairs, else 0: ``(..., C)`` to ``(..., C, C)``."""
    xp = namespace(log_decay)
    size = log_decay.shape[-1]
    i = xp.arange(size)
    steps = xp.where(i[:, None] > i, log_decay[..., :, None], xp.zeros_like(log_decay[..., None]))
    total = xp.cumulative_sum(steps, axis=-2)
    return xp.where(
        pairs, xp.exp(xp.where(pairs, total, xp.zeros_like(total))), xp.zeros_like(total)
    )


def decay_since_entry(log_decay: Any, pairs: Any) -> Any:
    """``exp(sum of g_s)`` from the entry of i's segment (or of the chunk) to i: ``(..., C)``."""
    xp = namespace(log_decay)
    own = xp.where(pairs, log_decay[..., None, :], xp.zeros_like(log_decay[..., None, :]))
    return xp.exp(xp.sum(own, axis=-1))


def decayed(q: Any, k: Any, g: Any, pairs: Any) -> tuple[Any, ...]:
    """Scores ``(C, C)``; q decayed since the entry, k decayed to the end, the state's own decay.

    A pair's decay is the exponential of a sum of log decays that are not positive: it never exceeds 1,
    and nothing is divided by a decay.
    """
    xp = namespace(q)
    if g is None:
        scores = xp.where(pairs, q @ k.mT, xp.zeros_like(q[..., :1]))
        k_out = xp.where(pairs[..., -1, :][..., None], k, xp.zeros_like(k))
        return scores, q, k_out, xp.ones_like(q[..., 0, :1])
    if g.ndim == q.ndim - 1:
        between, entry = decay_between(g, pairs), decay_since_entry(g, pairs)
        k_out = k * between[..., -1, :][..., None]
        return (q @ k.mT) * between, q * entry[..., None], k_out, entry[..., -1:]
    between = decay_between(g.mT, pairs[..., None, :, :])
    entry = decay_since_entry(g.mT, pairs[..., None, :, :])
    scores = xp.sum(between * q.mT[..., :, None] * k.mT[..., None, :], axis=-3)
    return scores, q * entry.mT, k * between[..., -1, :].mT, entry[..., -1]
