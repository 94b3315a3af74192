"""Softmax attention over a sliding window or over all that came before.

``o_t = sum_i e_ti v_i / (exp(sink) + sum_i e_ti)`` with ``e_ti = exp(scale q_t . k_i + bias)``; the sink
is a number per head (as in gpt-oss), and left out where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore import nn
from memcore.backend import all_finite, checkpoint, fold, is_jax, namespace
from memcore.cell import Array, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.engine.chunking import CHUNK_SIZE, into_chunks, out_of_chunks
from memcore.engine.resets import align, poison
from memcore.fields import check_count
from memcore.nn import wide
from memcore.ops.arguments import as_floats, as_scale, check_shape
from memcore.ops.run import run_rule
from memcore.ops.window.positions import alibi_slopes, check_position, rope
from memcore.ops.window.window import Window, between, undo
from memcore.types import Reads, Tree


@dataclass(frozen=True)
class WindowAttention(Window):
    """Inputs ``q (..., HQ, K)``, ``k (..., H, K)`` and ``v (..., H, V)``.

    Positions count backwards from the query, so they restart at starts and need no counter.

    Args:
        length: W, how many items a query sees.
        position: None, ``"rope"`` or ``"alibi"``.
        scale: factor of the scores; ``K^-0.5`` if None.
        sinks: whether the weights ``sinks (HQ,)`` are among the inputs.
        persistent: whether the weights ``persistent_k (N, H, K)`` and ``persistent_v (N, H, V)`` are: items
            without a place that every query sees.
    """

    position: str | None = None
    scale: float | None = None
    sinks: bool = False
    persistent: bool = False

    names: ClassVar[tuple[str, ...]] = ("k", "v")
    item_ndim: ClassVar[int] = 2
    rule_name: ClassVar[str] = "window_attention"

    @property
    def weights(self) -> tuple[str, ...]:  # type: ignore[override]
        persistent = ("persistent_k", "persistent_v") if self.persistent else ()
        return (*(("sinks",) if self.sinks else ()), *persistent)

    def read(self, state: State, inputs: Inputs) -> Reads:
        q = wide(inputs["q"])
        xp = namespace(q)
        k, v = (xp.moveaxis(x, -2, -3) for x in state[:2])
        allowed, place = state[2][..., None, None, :], xp.arange(self.length)[-1:]
        weights = {n: inputs[n] for n in self.weights}
        return self._attend(weights, q[..., None, :], k, v, place, allowed)[..., 0, :]

    def block(
        self, weights: dict[str, Array], line: list[Array], others: dict[str, Array]
    ) -> Array:
        k, v, number = line
        number, keys, front = number[..., 0], namespace(k).arange(k.shape[-2]), self.length
        distance = keys[front:, None] - keys
        allowed = number[..., front:, None] == number[..., None, :]
        allowed = (allowed & (distance >= 0) & (distance < front))[..., None, :, :]
        return self._attend(weights, others["q"], k, v, keys[front:], allowed)

    def _attend(
        self, weights: dict[str, Array], q: Array, k: Array, v: Array, place: Array, allowed: Array
    ) -> Array:
        """Queries ``(..., HQ, C, K)`` at the places ``(C,)`` of keys ``(..., H, L, K)``; query head h
        reads the head ``h // (HQ / H)``: ``(..., HQ, C, V)``."""
        plain = q
        if self.position == "rope":
            q, k = rope(q, k.shape[-2] - q.shape[-2]), rope(k, 0)
        return self._mix(weights, q, k, v, place, allowed, plain)

    def _mix(
        self, weights: dict[str, Array], q: Array, k: Array, v: Array, place: Array, allowed: Array,
        plain: Array,
    ) -> Array:  # fmt: skip
        """`_attend` with keys and queries that have been rotated; ``plain`` are the queries as they were."""
        xp, (heads, keys) = namespace(q), k.shape[-3:-1]
        scale = q.shape[-1] ** -0.5 if self.scale is None else self.scale

        lead, (groups, rows) = q.shape[:-3], (q.shape[-3] // heads, q.shape[-2])

        # One axis is split or two are merged at a time, as sharded arrays need it.
        def by_head(x: Array) -> Array:
            x = xp.reshape(x, (*lead, heads, groups, rows, x.shape[-1]))
            return xp.reshape(x, (*lead, heads, groups * rows, x.shape[-1]))

        def by_query(x: Array) -> Array:
            x = xp.reshape(x, (*lead, heads, groups, rows, x.shape[-1]))
            return xp.reshape(x, (*lead, heads * groups, rows, x.shape[-1]))

        wrong = ~(all_finite(k, k.ndim - 1) & all_finite(v, v.ndim - 1))
        k, v = (xp.where(wrong[..., None], xp.zeros_like(x), x) for x in (k, v))
        scores = by_query(by_head(q * scale) @ k.mT)
        if self.position == "alibi":
            distance = xp.astype(place[:, None] - xp.arange(keys), q.dtype)
            slopes = xp.astype(xp.asarray(alibi_slopes(q.shape[-3])), q.dtype)
            scores = scores - slopes[:, None, None] * distance
        floor = xp.asarray(float(xp.finfo(scores.dtype).min) / 2, dtype=scores.dtype)
        sinks = xp.astype(weights["sinks"], q.dtype)[..., None, None] if self.sinks else None
        scores, more = xp.where(allowed, scores, floor), 0
        if self.persistent:
            own_k, own_v = (
                xp.moveaxis(xp.astype(weights[f"persistent_{n}"], q.dtype), -2, -3) for n in "kv"
            )
            more = own_k.shape[-2]
            asked = by_query(by_head(plain * scale) @ own_k.mT)
            scores = xp.concat([asked, scores], axis=-1)
        shares = nn.softmax(scores, sinks)
        out = by_query(by_head(shares[..., more:]) @ v)
        if more:
            out = out + by_query(by_head(shares[..., :more]) @ own_v)
        # An item that is not finite spoils the queries that may see it: its weight of 0 would spoil all.
        seen = xp.any(allowed & xp.repeat(wrong, groups, axis=-2)[..., None, :], axis=-1)
        return poison(seen, out)


@dataclass(frozen=True)
class CachedAttention(WindowAttention):
    """Attention to all that came before in its segment, in a cache of ``length - 1`` places.

    The window has one place more than the cache: once that is filled the segment is too long, and its outputs
    are NaN; on NumPy that raises.
    """

    in_pieces: ClassVar[bool] = False  # an element would be the whole cache

    def read(self, state: State, inputs: Inputs) -> Array:
        return self._within(super().read(state, inputs), state[2][..., 0])

    def _fused(
        self, weights: dict[str, Array], state: State, inputs: dict[str, Array], starts: Starts,
        valid: Array, chunk_size: int | None,
    ) -> tuple[State, Array]:  # fmt: skip
        after, out = super()._fused(weights, state, inputs, starts, valid, chunk_size)
        line, _, order = self.line(state, inputs, starts, valid)
        number, axis = line[-1][..., 0], state[-1].ndim - 1
        length = number.shape[-1] - self.length
        own = between(number, axis, self.length, self.length + length)
        full = (own == between(number, axis, 1, 1 + length)) & (own >= 0)
        return after, self._within(out, undo(order, full))

    def _within(self, out: Array, full: Array) -> Array:
        xp = namespace(out)
        if not is_jax(out) and xp.any(full):
            raise ValueError(
                f"xs has a segment of more than {self.length - 1} steps, expected at most the capacity"
            )
        return xp.where(align(full, out.ndim), xp.full_like(out, float("nan")), out)


@dataclass(frozen=True)
class FullAttention(WindowAttention):
    """Attention to all that came before: a window that grows by every step it is given.

    ``length`` is N, the places of the incoming state; the outgoing one has N + T, the filled ones last.
    Steps alone cannot grow an array, so there is the fused form only.
    """

    rule_name: ClassVar[str] = "full_attention"
    in_pieces: ClassVar[bool] = False  # an element would be all that came before

    @property
    def methods(self) -> tuple[str, ...]:
        return ("fused",)

    def _fused(
        self, weights: dict[str, Array], state: State, inputs: dict[str, Array], starts: Starts,
        valid: Array, chunk_size: int | None,
    ) -> tuple[State, Array]:  # fmt: skip
        """A fold over blocks of queries, each with all keys: ``O(C (N + T))`` memory.

        Not ``jax.nn.dot_product_attention``: on a CPU it takes as long or longer, in seven times the memory,
        as ``benchmarks/peers/jax_nn.py`` measures; its softmax is in float32 whatever the inputs are, and it
        knows no sinks.
        """
        axis, front = state[-1].ndim - 1, self.length
        length = inputs["q"].shape[axis]
        line, others, order = self.line(state, inputs, starts, valid)
        xp = namespace(line[-1])
        place, number = xp.arange(front + length), line[-1][..., 0]
        q, k, v = (xp.moveaxis(x, axis, -2) for x in (others["q"], *line[:-1]))
        if self.position == "rope":
            q, k = rope(q, front), rope(k, 0)
        size = min(chunk_size or CHUNK_SIZE, length)
        own = number[..., front:]
        slots = (
            into_chunks(q, axis + 1, size, 0),
            into_chunks(own, axis, size, 0),
            into_chunks(place[front:], 0, size, 0),
        )

        def body(carry: Tree, slot: Tree) -> Tree:
            q, own, here = slot
            allowed = (own[..., :, None] == number[..., None, :]) & (here[:, None] >= place)
            return carry, self._mix(weights, q, k, v, here, allowed[..., None, :, :], q)

        _, out = fold(checkpoint(body, state), (), slots, -(-length // size))
        out = xp.moveaxis(out, -2, axis + 1)
        out = undo(order, out_of_chunks(out, axis, length))
        return self.outgoing(line, starts, 0), out


def window_attention(
    q: Array,
    k: Array,
    v: Array,
    window: int | None,
    state: State = None,
    *,
    starts: Starts = None,
    valid: Array = None,
    initial: State = None,
    position: str | None = None,
    sinks: Array = None,
    scale: float | None = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[State, Array]:
    """Causal softmax attention over the last ``window`` items, the current one included, or over all.

    The sliding window is that of arXiv:2004.05150. With several query heads for each head of keys and
    values it is grouped-query attention (arXiv:2305.13245). Without a window the state is a cache that
    grows, so each call on JAX with a longer state compiles anew.

    Args:
        q: ``(..., T, HQ, K)`` queries; HQ is a multiple of H, and head h reads the keys and values of
            head ``h // (HQ / H)``.
        k: ``(..., T, H, K)`` keys.
        v: ``(..., T, H, V)`` values.
        window: W, how many items a query sees; None is all since the start.
        state: ``(keys (..., W, H, K), values (..., W, H, V), filled (..., W) bool)``, oldest first, the
            filled places last; ``initial`` if None. Without a window: N places, and N + T afterwards.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps take no place in the window, and their output is 0.
        initial: the window at each start; None is empty. There is none without a window. With one that is
            not empty (on JAX: with any) and ``starts``, ``"fused"`` runs as ``"sequential"``.
        position: None, ``"rope"`` (arXiv:2104.09864; pairs of channels ``(j, j + K/2)``, base 10000; needs an
            even K) or ``"alibi"`` (arXiv:2108.12409).
        sinks: ``(HQ,)``, for each head the logit of one more item, whose value is 0 (attention sinks,
            arXiv:2309.17453, one for each head as in gpt-oss); None is no such item.
        scale: factor of the scores of keys; None is ``K^-0.5``.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``; without a
            window ``"auto"`` or ``"fused"``.
        chunk_size: queries per block of ``"fused"``, steps per chunk of ``"chunked"``.

    Returns:
        ``(state, out)`` with ``out (..., T, HQ, V)``; the state of half precision inputs is float32.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    q, k, v, sinks = _arrays(q, k, v, sinks)
    scale = scale if scale is None else as_scale(scale)
    check_position(position, k.shape[-1])
    if window is not None:
        check_count("window", window)
    elif initial is not None:
        raise ValueError("initial is given, expected None: without a window a start clears all")
    kind, length = (FullAttention, places(state)) if window is None else (WindowAttention, window)
    rule = kind(length=length, position=position, scale=scale, sinks=sinks is not None)
    inputs = {"q": q, "k": k, "v": v, **({} if sinks is None else {"sinks": sinks})}
    call = Call(starts, valid, method, chunk_size)
    state, out = run_rule(rule, inputs, "v", -3, state, initial, call)
    if q.shape[-2] != k.shape[-2] and not q.shape[-3]:  # outputs of length 0 look like the values
        out = namespace(out).zeros((*q.shape[:-1], v.shape[-1]), dtype=out.dtype)
    return state, out


def places(state: State) -> int:
    """How many places a cache has; 0 for None, and for what is no cache, which `run_rule` refuses."""
    shape = np.shape(state[-1]) if isinstance(state, tuple | list) and state else ()
    return shape[-1] if shape else 0


def _arrays(q: Array, k: Array, v: Array, sinks: Array) -> tuple[Array, ...]:
    """The arguments as arrays; raises where they do not fit together."""
    k = as_floats("k", k, 3, "(..., T, H, K)")
    v = as_floats("v", v, 3, "(..., T, H, V)")
    q = as_floats("q", q, 3, "(..., T, HQ, K)")
    like = f"k {tuple(k.shape)}"
    check_shape("v", v, (*k.shape[:-1], v.shape[-1]), like)
    if k.shape[-2] == 0 or q.shape[-2] % k.shape[-2]:
        raise ValueError(
            f"q has {q.shape[-2]} heads, expected a multiple of {k.shape[-2]} to match {like}"
        )
    check_shape("q", q, (*k.shape[:-2], q.shape[-2], k.shape[-1]), like)
    if sinks is not None:
        sinks = as_floats("sinks", sinks, 1, "(HQ,)")
        check_shape("sinks", sinks, q.shape[-2:-1], f"q {tuple(q.shape)}")
    return q, k, v, sinks
