"""What the fused forms share: chunks, the segments inside them, and decays between their steps.

Inside a chunk the segments are numbered by a running sum of the starts. Pairs of steps in different
segments do not interact; segment 0 continues the incoming state, a later one begins at the initial
state, and only the last one writes the outgoing state. Decays are sums over the steps between, never
differences of two running sums, which cancel and leak across starts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memcore.backend import checkpoint, fold, namespace, tree_leaves
from memcore.ops.rule import keep, wide
from memcore.resets import segments


def fold_chunks(
    body: Callable[..., Any], state: Any, inputs: dict[str, Any], starts: Any, valid: Any, axis: int,
    chunk_size: int, padding: dict[str, float] | None = None,
) -> tuple[Any, Any]:  # fmt: skip
    """Fold ``body(state, inputs, starts)`` over chunks of time; ``(state, out)``.

    Leaves of ``inputs`` are ``(*batch, T, H, ...)`` and arrive as ``(*batch, H, C, ...)``; starts
    ``(*batch, T)`` arrive as ``(*batch, 1, C)``; ``out (*batch, H, C, V)`` comes back as
    ``(*batch, T, H, V)``. Steps that are not valid, and the padding of the last chunk, are zeros, or
    what ``padding`` says for an input: with them a rule must leave its state as it is.
    """
    length = tree_leaves(inputs)[0].shape[axis]
    chunk_size = min(chunk_size, length)
    chunks = -(-length // chunk_size)

    def cut(x: Any, neutral: float) -> Any:
        x = _cut(keep(valid, wide(x), neutral), axis, chunks, chunk_size, neutral)
        return namespace(x).moveaxis(x, axis + 2, axis + 1)

    inputs = {name: cut(x, (padding or {}).get(name, 0.0)) for name, x in inputs.items()}
    if starts is not None:
        starts = _cut(starts, axis, chunks, chunk_size, False)[..., None, :]
    step = checkpoint(lambda s, slot: body(s, *slot), state)
    state, out = fold(step, state, (inputs, starts), chunks)
    xp = namespace(out)
    out = xp.moveaxis(xp.moveaxis(out, -3, -2), 0, axis)
    out = xp.reshape(out, (*out.shape[:axis], chunks * chunk_size, *out.shape[axis + 2 :]))
    return state, out[(slice(None),) * axis + (slice(0, length), ...)]


def _cut(x: Any, axis: int, chunks: int, chunk_size: int, neutral: float) -> Any:
    """``(*batch, T, ...)`` to ``(chunks, *batch, C, ...)``, padded with ``neutral``."""
    xp = namespace(x)
    missing = chunks * chunk_size - x.shape[axis]
    if missing:
        shape = (*x.shape[:axis], missing, *x.shape[axis + 1 :])
        x = xp.concat([x, xp.full(shape, neutral, dtype=x.dtype)], axis=axis)
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


def sum_between(log_decay: Any) -> Any:
    """``sum of g_s for j < s <= i``: ``(..., C)`` to ``(..., C, C)``; 0 for i before j."""
    xp = namespace(log_decay)
    i = xp.arange(log_decay.shape[-1])
    steps = xp.where(i[:, None] > i, log_decay[..., :, None], xp.zeros_like(log_decay[..., None]))
    return xp.cumulative_sum(steps, axis=-2)


def decay_between(log_decay: Any, pairs: Any) -> Any:
    """``exp(sum of g_s for j < s <= i)`` for allowed pairs, else 0: ``(..., C)`` to ``(..., C, C)``."""
    xp, total = namespace(log_decay), sum_between(log_decay)
    return xp.where(
        pairs, xp.exp(xp.where(pairs, total, xp.zeros_like(total))), xp.zeros_like(total)
    )


def sum_since_entry(log_decay: Any, pairs: Any) -> Any:
    """``sum of g_s`` from the entry of i's segment (or of the chunk) to i: ``(..., C)``."""
    xp = namespace(log_decay)
    own = xp.where(pairs, log_decay[..., None, :], xp.zeros_like(log_decay[..., None, :]))
    return xp.sum(own, axis=-1)


def decay_since_entry(log_decay: Any, pairs: Any) -> Any:
    """``exp(sum of g_s)`` from the entry of i's segment (or of the chunk) to i: ``(..., C)``."""
    return namespace(log_decay).exp(sum_since_entry(log_decay, pairs))


class Decays:
    """The decays inside a chunk, from log decays ``(..., C)`` per head, ``(..., C, K)`` per key channel, or
    None.

    A pair's decay is the exponential of a sum of log decays that are not positive: it never exceeds 1,
    and nothing is divided by a decay.
    """

    def __init__(self, log_decay: Any, pairs: Any, keys: Any) -> None:
        """``pairs (..., C, C)`` may speak to each other; ``keys (..., C, K)`` tell the shape."""
        self.pairs, self.channels = pairs, False
        self.between = self.entry = None
        if log_decay is None:
            return
        self.channels = log_decay.ndim == keys.ndim
        if self.channels:
            log_decay, pairs = log_decay.mT, pairs[..., None, :, :]
        self.between = decay_between(log_decay, pairs)
        self.entry = decay_since_entry(log_decay, pairs)

    def scores(self, q: Any, k: Any) -> Any:
        """``q_i . (decay from j to i) k_j`` of allowed pairs, else 0: ``(..., C, C)``."""
        xp = namespace(q)
        if self.channels:
            return xp.sum(self.between * q.mT[..., :, None] * k.mT[..., None, :], axis=-3)
        scores = q @ k.mT
        if self.between is None:
            return xp.where(self.pairs, scores, xp.zeros_like(scores))
        return scores * self.between

    def since_entry(self, q: Any) -> Any:
        """``q (..., C, K)``, decayed from the entry of each step's segment (or of the chunk)."""
        if self.entry is None:
            return q
        return q * (self.entry.mT if self.channels else self.entry[..., None])

    def to_end(self, k: Any) -> Any:
        """``k (..., C, K)``, decayed to the last step; 0 outside the last segment."""
        xp = namespace(k)
        if self.between is None:
            return xp.where(self.pairs[..., -1, :][..., None], k, xp.zeros_like(k))
        last = self.between[..., -1, :]
        return k * (last.mT if self.channels else last[..., None])

    def state(self, memory: Any, axes: int) -> Any:
        """A memory whose last ``axes`` axes begin with K, decayed over the chunk's last segment."""
        if self.entry is None:
            return memory
        kept = self.entry[..., -1] if self.channels else self.entry[..., -1:]
        return memory * (kept[..., None] if axes == 2 else kept)
