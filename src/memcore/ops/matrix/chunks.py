"""What the fused forms share: chunks, the segments inside them, and decays between their steps.

Inside a chunk the segments are numbered by a running sum of the starts. Pairs of steps in different
segments do not interact; segment 0 continues the incoming state, a later one begins at the initial
state, and only the last one writes the outgoing state. Decays are sums over the steps between, never
differences of two running sums, which cancel and leak across starts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memcore.backend import (
    all_finite,
    checkpoint,
    checkpointed_fold,
    device_kind,
    fold,
    is_jax,
    namespace,
    tree_leaves,
    tree_map,
)
from memcore.cell import Array, State
from memcore.engine.chunking import CHUNK_SIZE, cut_chunks, join_chunks
from memcore.engine.resets import poison, seen_so_far, segments
from memcore.nn import wide
from memcore.ops.floor import at_least
from memcore.ops.matrix.channel_decays import ChannelDecays
from memcore.ops.matrix.triangular import SOLVED
from memcore.ops.run import keep
from memcore.types import Namespace, Starts, Tree


def fold_chunks(
    body: Callable[..., Any], fresh: State, state: State, inputs: dict[str, Array], starts: Starts,
    valid: Array, axis: int, chunk_size: int | None, padding: dict[str, float] | None = None,
    prepare: Callable[..., Any] | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """Fold ``body(fresh, state, inputs, starts, prepared)`` over chunks of time; ``(state, out)``.

    Leaves of ``inputs`` are ``(*batch, T, H, ...)`` and arrive as ``(*batch, H, C, ...)``; starts
    ``(*batch, T)`` arrive as ``(*batch, 1, C)``; ``out (*batch, H, C, V)`` comes back as
    ``(*batch, T, H, V)``. Steps that are not valid or not finite, and the padding of the last chunk, are
    zeros, or what ``padding`` says for an input: with them a rule must leave its state as it is.

    What ``prepare(inputs, starts)`` makes of all chunks at once is kept for the gradient; what ``body``
    makes is made again. It closes over no array.
    """
    length, padding = tree_leaves(inputs)[0].shape[axis], padding or {}
    size = min(chunk_size or CHUNK_SIZE, length)
    wrong = not_finite(inputs, valid, padding)

    def cut(x: Array, neutral: float | bool) -> Array:
        return cut_chunks(x, axis, size, neutral)

    raw = (
        {name: cut(wide(x), padding.get(name, 0.0)) for name, x in inputs.items()},
        tree_map(lambda flag: cut(flag, False), (starts, valid, wrong)),
    )
    every = _arranged(padding, axis + 1, raw)
    prepared = None if prepare is None else prepare(*every)
    if device_kind(every[0]["v"]) == "cpu":

        def in_place(fresh: State, state: State, slot: Tree) -> Tree:
            raw, prepared = slot
            state, out = body(fresh, state, *_arranged(padding, axis, raw), prepared)
            return state, namespace(out).moveaxis(out, axis, axis + 1)

        state, out = checkpointed_fold(in_place, axis, fresh, state, (raw, prepared))
    else:
        slots = tree_map(lambda x: namespace(x).moveaxis(x, axis, 0), (*every, prepared))
        step = checkpoint(lambda s, slot: body(fresh, s, *slot), state, but=SOLVED)
        state, out = fold(step, state, slots, -(-length // size))
        out = namespace(out).moveaxis(out, (0, -3), (axis, -2))
    return _poisoned(wrong, starts, state, join_chunks(out, axis, length))


def _arranged(padding: dict[str, float], at: int, raw: Tree) -> tuple[dict[str, Array], Array]:
    """Inputs and starts of a chunk, or of all: heads in front of the steps, which are at axis ``at``."""
    inputs, (starts, valid, wrong) = raw
    inputs = {name: _clean(name, x, valid, wrong, padding) for name, x in inputs.items()}
    inputs = {name: namespace(x).moveaxis(x, at + 1, at) for name, x in inputs.items()}
    return inputs, None if starts is None else starts[..., None, :]


def not_finite(inputs: dict[str, Array], valid: Array, padding: dict[str, float]) -> Array:
    """Which steps hold what is not finite, ``(*batch, T, H)``; on NumPy None where none does.

    What is masked is a product with 0, and 0 times an infinity is not 0: in a chunk one such step would
    spoil all others. Logarithms may be ``-inf``; a query spoils its own step alone.
    """
    xp = namespace(inputs["v"])
    wrong = xp.zeros(inputs["v"].shape[:-1], dtype=xp.bool)
    for name, x in inputs.items():
        if name == "q":
            continue
        if name.startswith("log") or name in padding:
            bad = ~(x < math.inf)
            wrong = wrong | (xp.any(bad, axis=-1) if x.ndim > wrong.ndim else bad)
        else:
            wrong = wrong | ~all_finite(x, wrong.ndim)
    if valid is not None:
        wrong = wrong & valid[..., None]
    return wrong if is_jax(wrong) or xp.any(wrong) else None


def _clean(name: str, x: Array, valid: Array, wrong: Array, padding: dict[str, float]) -> Array:
    """An input without the steps that are not to be seen."""
    neutral = padding.get(name, 0.0)
    if wrong is not None and name != "q":
        x = keep(~wrong, x, neutral)
    return keep(valid, x, neutral)


def _poisoned(wrong: Array, starts: Array, state: State, out: Array) -> tuple[State, Array]:
    """What the steps that are not finite reach becomes NaN."""
    if wrong is None:
        return state, out
    seen = poisoned_steps(namespace(wrong).moveaxis(wrong, -1, -2), starts)
    return poison(seen[..., -1], state), poison(namespace(seen).moveaxis(seen, -1, -2), out)


def poisoned_steps(wrong: Array, starts: Array) -> Array:
    """``(*batch, H, T)``: whether the segment of each step has seen a wrong one so far."""
    nothing = namespace(wrong).zeros_like(wrong[..., 0])
    begins = None if starts is None else starts[..., None, :]
    return seen_so_far(wrong, nothing, begins, wrong.ndim - 1)


def summable(inputs: dict[str, Array]) -> dict[str, Any]:
    """The inputs, no log decay so low that a sum of them overflows: ``exp(-1e4)`` is 0 in every dtype."""
    if "log_decay" not in inputs:
        return inputs
    return {**inputs, "log_decay": at_least(-1e4, inputs["log_decay"])}


def same_segment(starts: Starts, size: int, xp: Namespace) -> tuple[State, Array]:
    """``(pairs, first)``: may step j speak to step i, ``(..., 1, C, C)``; is i in segment 0."""
    i = xp.arange(size)
    causal = i[:, None] >= i
    if starts is None:
        return causal, None
    number = segments(starts)
    return causal & (number[..., :, None] == number[..., None, :]), number == 0


def sum_between(log_decay: Array) -> Array:
    """``sum of g_s for j < s <= i``: ``(..., C)`` to ``(..., C, C)``; 0 for i before j."""
    xp = namespace(log_decay)
    i = xp.arange(log_decay.shape[-1])
    steps = xp.where(i[:, None] > i, log_decay[..., :, None], xp.zeros_like(log_decay[..., None]))
    return xp.cumulative_sum(steps, axis=-2)


def decay_between(log_decay: Array, pairs: Array) -> Array:
    """``exp(sum of g_s for j < s <= i)`` for allowed pairs, else 0: ``(..., C)`` to ``(..., C, C)``."""
    xp, total = namespace(log_decay), sum_between(log_decay)
    return xp.where(
        pairs, xp.exp(xp.where(pairs, total, xp.zeros_like(total))), xp.zeros_like(total)
    )


def sum_since_entry(log_decay: Array, pairs: Array) -> Array:
    """``sum of g_s`` from the entry of i's segment (or of the chunk) to i: ``(..., C)``."""
    xp = namespace(log_decay)
    own = xp.where(pairs, log_decay[..., None, :], xp.zeros_like(log_decay[..., None, :]))
    return xp.sum(own, axis=-1)


def decay_since_entry(log_decay: Array, pairs: Array) -> Array:
    """``exp(sum of g_s)`` from the entry of i's segment (or of the chunk) to i: ``(..., C)``."""
    return namespace(log_decay).exp(sum_since_entry(log_decay, pairs))


@dataclass(frozen=True)
class Decays:
    """The decays inside a chunk of C steps, per head; per key channel they are `ChannelDecays`.

    A pair's decay is the exponential of a sum of log decays that are not positive: it never exceeds 1,
    and nothing is divided by a decay.

    Attributes:
        pairs: ``(..., C, C)`` bool: may step j speak to step i.
        between: from j to i, ``(..., C, C)``; None without decay.
        entry: from the entry of i's segment (or of the chunk) to i, ``(..., C)``.
    """

    pairs: Array
    between: Array = None
    entry: Array = None

    @classmethod
    def prepare(cls, inputs: dict[str, Array], starts: Starts) -> Array:
        """What is small enough to be made for all chunks at once: decays per head, and segments."""
        log_decay, keys = inputs.get("log_decay"), inputs["k"]
        pairs, first = same_segment(starts, keys.shape[-2], namespace(keys))
        if log_decay is None or log_decay.ndim == keys.ndim:
            return None if starts is None else (pairs, first, None, None)
        between, entry = decay_between(log_decay, pairs), decay_since_entry(log_decay, pairs)
        return (None if starts is None else pairs), first, between, entry

    @classmethod
    def unpack(
        cls, inputs: dict[str, Array], prepared: Tree
    ) -> tuple[Decays | ChannelDecays, Array]:
        """The decays of a chunk from what was prepared, and which steps are in segment 0."""
        log_decay, keys = inputs.get("log_decay"), inputs["k"]
        pairs, first, between, entry = prepared or (None, None, None, None)
        if pairs is None:
            pairs, _ = same_segment(None, keys.shape[-2], namespace(keys))
        if log_decay is None or between is not None:
            return cls(pairs, between, entry), first
        return ChannelDecays.of(log_decay, pairs), first

    def before(self) -> Decays:
        """The same up to the step before i: what a read of the state before step i sees."""
        xp, size = namespace(self.pairs), self.pairs.shape[-1]
        i = xp.arange(size)
        strict = self.pairs & (i[:, None] > i)
        if self.between is None:
            return Decays(strict)
        rows = xp.concat([self.between[..., :1, :], self.between[..., :-1, :]], axis=-2)
        between = xp.where(strict, rows, xp.zeros_like(rows))
        entry = xp.concat([self.entry[..., :1], self.entry[..., :-1]], axis=-1)
        continues = xp.any(strict, axis=-1)
        return Decays(strict, between, xp.where(continues, entry, xp.ones_like(entry)))

    def scores(self, q: Array, k: Array) -> Array:
        """``q_i . (decay from j to i) k_j`` of allowed pairs, else 0: ``(..., C, C)``."""
        xp = namespace(q)
        scores = q @ k.mT
        if self.between is None:
            return xp.where(self.pairs, scores, xp.zeros_like(scores))
        # A select beside the decay, which is 0 there: a score may have overflowed.
        return xp.where(self.pairs, scores * self.between, xp.zeros_like(scores))

    def since_entry(self, q: Array) -> Array:
        """``q (..., C, K)``, decayed from the entry of each step's segment (or of the chunk)."""
        if self.entry is None:
            return q
        return q * self.entry[..., None]

    def to_end(self, k: Array) -> Array:
        """``k (..., C, K)``, decayed to the last step; 0 outside the last segment."""
        xp = namespace(k)
        if self.between is None:
            return xp.where(self.pairs[..., -1, :][..., None], k, xp.zeros_like(k))
        return k * self.between[..., -1, :][..., None]

    def state(self, memory: State, axes: int) -> State:
        """A memory whose last ``axes`` axes begin with K, decayed over the chunk's last segment."""
        if self.entry is None:
            return memory
        kept = self.entry[..., -1:]
        return memory * (kept[..., None] if axes == 2 else kept)


def entered(first: Array, read: Callable[[Tree], Tree], state: State, fresh: State) -> Array:
    """What ``read (..., C, V)`` finds in the state that each step's segment began with.

    ``first (..., C)``: is the step in segment 0; ``fresh``: the state at starts, None for zero.
    """
    out = read(state)
    if first is None:
        return out
    xp = namespace(out)
    return xp.where(first[..., None], out, xp.zeros_like(out) if fresh is None else read(fresh))


def last_entry(first: Array, state: State, fresh: State, axes: int) -> Array:
    """The state, with ``axes`` axes of its own behind the heads', that the last segment began with."""
    if first is None:
        return state
    xp = namespace(state)
    in_first = xp.reshape(first[..., -1], (*first.shape[:-1], *(1,) * axes))
    return xp.where(in_first, state, xp.zeros_like(state) if fresh is None else fresh)
