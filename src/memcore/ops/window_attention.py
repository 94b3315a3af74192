"""Sliding-window softmax attention, with rotary or ALiBi positions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore import nn
from memcore.backend import namespace
from memcore.call import Call, as_array, check_count
from memcore.ops.rule import check_rank, check_shape, is_zero, run_rule, wide
from memcore.ops.window import Window, gather, pad, undo


def rope(x: Any, positions: Any, base: float = 10000.0) -> Any:
    """Rotate channel pairs ``(j, j + K/2)`` of ``x (..., L, K)`` by ``positions (L,) * base^(-2j/K)``.

    Rotary positions (arXiv:2104.09864), in the half-split layout of most public checkpoints.
    """
    xp, half = namespace(x), x.shape[-1] // 2
    frequency = np.exp(-math.log(base) * np.arange(half) / half)
    angle = positions[:, None] * xp.astype(xp.asarray(frequency), positions.dtype)
    cos, sin = xp.cos(angle), xp.sin(angle)
    a, b = x[..., :half], x[..., half:]
    return xp.concat([a * cos - b * sin, a * sin + b * cos], axis=-1)


def alibi_slopes(heads: int) -> np.ndarray:
    """``2^(-8 (h + 1) / H)`` for head h (arXiv:2108.12409)."""
    return 2.0 ** (-8.0 * np.arange(1, heads + 1) / heads)


@dataclass(frozen=True)
class WindowAttention(Window):
    """Inputs ``query, key (..., H, K)`` and ``value (..., H, V)``; positions count backwards from the
    query, so they restart at starts and need no counter."""

    position: str | None = None
    scale: float | None = None

    names: ClassVar[tuple[str, ...]] = ("key", "value")
    item_ndim: ClassVar[int] = 2
    rule_name: ClassVar[str] = "window_attention"

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        q = wide(inputs["query"])
        xp = namespace(q)
        k, v = (xp.moveaxis(x, -2, -3) for x in state[:2])
        allowed = state[2][..., None, None, :]
        return self._attend(q[..., None, :], k, v, allowed)[..., 0, :]

    def _attend(self, q: Any, k: Any, v: Any, allowed: Any) -> Any:
        """Queries ``(..., H, C, K)``, the last C of the keys ``(..., H, L, K)``; ``(..., H, C, V)``."""
        xp, (queries, keys) = namespace(q), (q.shape[-2], k.shape[-2])
        scale = q.shape[-1] ** -0.5 if self.scale is None else self.scale
        place = xp.arange(keys, dtype=q.dtype)
        if self.position == "rope":
            q, k = rope(q, place[keys - queries :]), rope(k, place)
        scores = (q * scale) @ k.mT
        if self.position == "alibi":
            distance = place[keys - queries :][:, None] - place
            slopes = xp.astype(xp.asarray(alibi_slopes(q.shape[-3])), q.dtype)
            scores = scores - slopes[:, None, None] * distance
        floor = xp.asarray(float(xp.finfo(scores.dtype).min) / 2, dtype=scores.dtype)
        return nn.softmax(xp.where(allowed, scores, floor)) @ v

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        """Blocks of C queries, each with its own keys and the W before them: ``O(T (W + C))``."""
        if not is_zero(self.initial_state(params)) and starts is not None:
            return self.stepwise(params, state, inputs, starts, valid)
        q, k, v = (wide(inputs[name]) for name in ("query", "key", "value"))
        xp, axis, length = namespace(q), state[-1].ndim - 1, q.shape[state[-1].ndim - 1]
        size = min(chunk_size or max(self.length, 16), length)
        blocks, ahead = -(-length // size), -(-self.length // size)
        front = ahead * size if blocks > 1 else self.length
        (k, v), number, filled, order, state = self.slide(state, [k, v], starts, valid, front)
        q = q if order is None else gather(q, order)
        missing = blocks * size - length

        def spans(x: Any) -> Any:
            """``(*batch, front + T, ...)`` to ``(*batch, blocks, front + size, ...)``."""
            x = pad(x, axis, missing)
            if blocks == 1:
                return xp.expand_dims(x, axis=axis)
            x = xp.reshape(x, (*x.shape[:axis], blocks + ahead, size, *x.shape[axis + 1 :]))
            at = (slice(None),) * axis
            shifted = [x[(*at, slice(i, i + blocks), ...)] for i in range(ahead + 1)]
            return xp.concat(shifted, axis=axis + 1)

        q = pad(q, axis, missing)
        q = xp.reshape(q, (*q.shape[:axis], blocks, size, *q.shape[axis + 1 :]))
        k, v, number, filled = (spans(x) for x in (k, v, number, filled))
        place = xp.arange(front + size)
        distance = place[front:][:, None] - place
        allowed = (distance >= 0) & (distance < self.length) & filled[..., None, :]
        allowed = allowed & (number[..., front:][..., :, None] == number[..., None, :])
        q, k, v = (xp.moveaxis(x, -2, -3) for x in (q, k, v))
        out = xp.moveaxis(self._attend(q, k, v, allowed[..., None, :, :]), -3, -2)
        out = xp.reshape(out, (*out.shape[:axis], blocks * size, *out.shape[axis + 2 :]))
        return state, undo(order, out[(slice(None),) * axis + (slice(0, length), ...)])


def window_attention(
    q: Any,
    k: Any,
    v: Any,
    window: int,
    state: Any = None,
    *,
    starts: Any = None,
    valid: Any = None,
    initial: Any = None,
    position: str | None = None,
    scale: float | None = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[Any, Any]:
    """Causal softmax attention over the last ``window`` items, the current one included.

    Args:
        q: ``(..., T, H, K)`` queries.
        k: ``(..., T, H, K)`` keys.
        v: ``(..., T, H, V)`` values.
        window: W, how many items a query sees.
        state: ``(keys (..., W, H, K), values (..., W, H, V), filled (..., W) bool)``, oldest first;
            ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps take no place in the window, and their output is 0.
        initial: the window at each start; None is empty.
        position: None, ``"rope"`` (needs an even K) or ``"alibi"``.
        scale: factor of the scores; None is ``K^-0.5``.
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: queries per block of ``"fused"``, steps per chunk of ``"chunked"``.

    Returns:
        ``(state, out)`` with ``out (..., T, H, V)``; the state of half precision inputs is float32.
    """
    inputs = {"query": as_array(q), "key": as_array(k), "value": as_array(v)}
    k, v = inputs["key"], inputs["value"]
    check_count("window", window)
    check_rank("k", k, 3, "(..., T, H, K)")
    check_rank("v", v, 3, "(..., T, H, V)")
    check_shape("q", inputs["query"], k.shape, f"k {tuple(k.shape)}")
    check_shape("v", v, (*k.shape[:-1], v.shape[-1]), f"k {tuple(k.shape)}")
    check_position(position, k.shape[-1])
    rule = WindowAttention(length=window, position=position, scale=scale)
    call = Call(starts, valid, method, chunk_size)
    return run_rule(rule, inputs, "value", -3, state, initial, call)


def check_position(position: str | None, key_size: int) -> None:
    """Raise ValueError for a position encoding that is unknown or does not fit the keys."""
    if position not in (None, "rope", "alibi"):
        raise ValueError(f"position is {position!r}, expected None, 'rope' or 'alibi'")
    if position == "rope" and key_size % 2:
        raise ValueError(f"position is 'rope', which needs an even key size, got {key_size}")
