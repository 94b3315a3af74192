"""The last W items: sliding-window attention and the causal convolution.

The state is the window: its items, oldest first, and which of its places are filled. Element: a window
too; ``a . b`` is the last W items of a followed by b. It acts on a state as it combines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore import engine, nn
from memcore.backend import namespace, tree_map
from memcore.call import Call, as_array, check_count
from memcore.ops.rule import Rule, check_rank, check_shape, is_zero, keep, run_rule, wide
from memcore.resets import align, segments


@dataclass(frozen=True)
class Window(Rule):
    """A memory of the last ``length`` items: state ``(*items (..., W, *item), filled (..., W))``."""

    length: int = 64

    names: ClassVar[tuple[str, ...]] = ()
    """The inputs that the window keeps."""
    item_ndim: ClassVar[int] = 1

    def zeros(self, inputs: Any) -> Any:
        items = [np.zeros((self.length, *inputs[n].shape[-self.item_ndim :])) for n in self.names]
        return (*items, np.zeros(self.length, dtype=bool))

    def lift(self, params: Any, inputs: Any) -> Any:
        items = [wide(inputs[name]) for name in self.names]
        xp, lead = namespace(items[0]), items[0].shape[: items[0].ndim - self.item_ndim]

        def alone(x: Any) -> Any:
            axis = x.ndim - self.item_ndim
            shape = (*lead, self.length - 1, *x.shape[axis:])
            return xp.concat(
                [xp.zeros(shape, dtype=x.dtype), xp.expand_dims(x, axis=axis)], axis=axis
            )

        filled = xp.broadcast_to(xp.arange(self.length) == self.length - 1, (*lead, self.length))
        return (*(alone(x) for x in items), filled)

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        xp = namespace(a[-1])
        count = xp.sum(xp.astype(b[-1], xp.int32), axis=-1, dtype=xp.int32)[..., None]
        place = xp.arange(self.length, dtype=xp.int32)
        later = place >= self.length - count
        source = xp.where(later, place + self.length, place + count)
        return tree_map(lambda x, y: _gather(_append(x, y, a[-1].ndim - 1), source), a, b)

    def act(self, params: Any, state: Any, element: Any) -> Any:
        lead = element[-1].shape
        state = tree_map(
            lambda s, e: namespace(s).broadcast_to(s, (*lead, *s.shape[len(lead) :])),
            state,
            element,
        )
        return self.binary_op(params, state, element)

    def step(self, params: Any, state: Any, inputs: Any) -> Any:
        """The same as acting with the lifted item, without moving a whole window."""
        axis = state[-1].ndim - 1
        items = [wide(inputs[name]) for name in self.names]
        xp = namespace(state[-1])
        new = [*(xp.expand_dims(x, axis=axis) for x in items), xp.ones_like(state[-1][..., :1])]
        index = (slice(None),) * axis + (slice(1, None), ...)
        return tuple(_append(s[index], x, axis) for s, x in zip(state, new, strict=True))

    def slide(self, state: Any, items: list[Any], starts: Any, valid: Any, front: int) -> Any:
        """All items in one line: ``(line, segment, filled, order, state)``.

        The line is the incoming window (padded in front to ``front`` places) and then the items, those
        that are not valid moved to the end; ``order`` is that permutation of time, or None.
        ``segment`` numbers the sequences, the last one being the outgoing window's.
        """
        xp, axis = namespace(items[0]), state[-1].ndim - 1
        lead, length = items[0].shape[:axis], items[0].shape[axis]
        number = xp.zeros((*lead, length), dtype=xp.int32) if starts is None else segments(starts)
        filled, order, last = xp.ones((*lead, length), dtype=xp.bool), None, number[..., -1:]
        if valid is not None:
            order = xp.argsort(xp.astype(~valid, xp.int32), axis=-1, stable=True)
            items = [_gather(x, order) for x in items]
            number, filled = _gather(number, order), _gather(valid, order)
        line = [_append(s, x, axis) for s, x in zip(state, [*items, filled], strict=True)]
        number = _append(xp.zeros_like(line[-1][..., : self.length], dtype=xp.int32), number, axis)
        state = self._last(line, number == last, valid, axis)
        pad = front - self.length
        if pad:
            line = [_pad(x, axis, pad, front=True) for x in line]
            number = _pad(number, axis, pad, front=True)
        return line[:-1], number, line[-1], order, state

    def _stepwise(
        self, params: Any, state: Any, inputs: Any, starts: Any, valid: Any
    ) -> tuple[Any, ...]:
        """The fold, for windows that are not empty at starts: masks cannot say those."""
        call = Call(starts, valid, "sequential")
        return engine.recur(self, params, inputs, state, call, starts.shape)

    def _last(self, line: list[Any], current: Any, valid: Any, axis: int) -> tuple[Any, ...]:
        """The last window of the line: the current sequence's items, zeros in the other places."""
        filled = line[-1] & current
        line = [*(keep(filled, x) for x in line[:-1]), filled]
        if valid is None:
            index = (slice(None),) * axis + (slice(line[-1].shape[-1] - self.length, None), ...)
            return tuple(x[index] for x in line)
        xp = namespace(valid)
        count = xp.sum(xp.astype(valid, xp.int32), axis=-1, dtype=xp.int32)[..., None]
        source = count + xp.arange(self.length, dtype=xp.int32)
        return tuple(_gather(x, source) for x in line)


def _append(a: Any, b: Any, axis: int) -> Any:
    return namespace(a, b).concat([a, b], axis=axis)


def _pad(x: Any, axis: int, count: int, *, front: bool = False) -> Any:
    """``count`` zeros along ``axis``, behind or in front."""
    zeros = namespace(x).zeros((*x.shape[:axis], count, *x.shape[axis + 1 :]), dtype=x.dtype)
    return _append(zeros, x, axis) if front else _append(x, zeros, axis)


def _gather(x: Any, source: Any) -> Any:
    """``x`` at the places ``source (*lead, n)`` of its axis behind ``lead``."""
    xp = namespace(x)
    axis = source.ndim - 1
    index = xp.broadcast_to(align(source, x.ndim), (*source.shape, *x.shape[axis + 1 :]))
    return xp.take_along_axis(x, index, axis=axis)


def _undo(order: Any, x: Any) -> Any:
    """Move the steps of ``x`` back to where they came from."""
    return x if order is None else _gather(x, namespace(order).argsort(order, axis=-1))


# --- attention -------------------------------------------------------------------------------------


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
            return self._stepwise(params, state, inputs, starts, valid)
        q, k, v = (wide(inputs[name]) for name in ("query", "key", "value"))
        xp, axis, length = namespace(q), state[-1].ndim - 1, q.shape[state[-1].ndim - 1]
        size = min(chunk_size or max(self.length, 16), length)
        blocks, ahead = -(-length // size), -(-self.length // size)
        front = ahead * size if blocks > 1 else self.length
        (k, v), number, filled, order, state = self.slide(state, [k, v], starts, valid, front)
        q = q if order is None else _gather(q, order)
        missing = blocks * size - length

        def spans(x: Any) -> Any:
            """``(*batch, front + T, ...)`` to ``(*batch, blocks, front + size, ...)``."""
            x = _pad(x, axis, missing)
            if blocks == 1:
                return xp.expand_dims(x, axis=axis)
            x = xp.reshape(x, (*x.shape[:axis], blocks + ahead, size, *x.shape[axis + 1 :]))
            at = (slice(None),) * axis
            shifted = [x[(*at, slice(i, i + blocks), ...)] for i in range(ahead + 1)]
            return xp.concat(shifted, axis=axis + 1)

        q = _pad(q, axis, missing)
        q = xp.reshape(q, (*q.shape[:axis], blocks, size, *q.shape[axis + 1 :]))
        k, v, number, filled = (spans(x) for x in (k, v, number, filled))
        place = xp.arange(front + size)
        distance = place[front:][:, None] - place
        allowed = (distance >= 0) & (distance < self.length) & filled[..., None, :]
        allowed = allowed & (number[..., front:][..., :, None] == number[..., None, :])
        q, k, v = (xp.moveaxis(x, -2, -3) for x in (q, k, v))
        out = xp.moveaxis(self._attend(q, k, v, allowed[..., None, :, :]), -3, -2)
        out = xp.reshape(out, (*out.shape[:axis], blocks * size, *out.shape[axis + 2 :]))
        return state, _undo(order, out[(slice(None),) * axis + (slice(0, length), ...)])


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


# --- convolution -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class CausalConvolution(Window):
    """``y_t = sum_j kernel_j x_{t - W + 1 + j}`` per channel; the state is the last W - 1 inputs.

    ``params`` is ``{"kernel": (W, D), "initial": state}``; inputs ``{"x": (..., D)}``.
    """

    names: ClassVar[tuple[str, ...]] = ("x",)
    reads_previous: ClassVar[bool] = True
    rule_name: ClassVar[str] = "causal_convolution"

    def initial_state(self, params: Any) -> Any:
        return params["initial"]

    def read(self, params: Any, state: Any, inputs: Any) -> Any:
        items, filled = state
        x, xp = wide(inputs["x"]), namespace(items)
        kernel = xp.astype(params["kernel"], x.dtype, copy=False)
        items = xp.where(filled[..., None], items, xp.zeros_like(items))
        return xp.sum(items * kernel[:-1, :], axis=-2) + kernel[-1, :] * x

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        """A sum of W shifted copies, masked where they reach over a start."""
        if not is_zero(self.initial_state(params)) and starts is not None:
            return self._stepwise(params, state, inputs, starts, valid)
        x = wide(inputs["x"])
        xp, axis, length = namespace(x), state[-1].ndim - 1, x.shape[state[-1].ndim - 1]
        kernel = xp.astype(params["kernel"], x.dtype, copy=False)
        (line,), number, filled, order, after = self.slide(state, [x], starts, valid, self.length)
        current = number[..., self.length :]
        out = xp.zeros_like(x)
        for j in range(self.length + 1):
            mask = filled[..., j : j + length] & (number[..., j : j + length] == current)
            item = line[(slice(None),) * axis + (slice(j, j + length), ...)]
            out = out + kernel[j, :] * xp.where(mask[..., None], item, xp.zeros_like(item))
        return after, _undo(order, out)


def causal_convolution(
    x: Any,
    kernel: Any,
    state: Any = None,
    *,
    starts: Any = None,
    valid: Any = None,
    initial: Any = None,
    method: str = "auto",
    chunk_size: int | None = None,
) -> tuple[Any, Any]:
    """Causal depthwise convolution over time; starts clear its window.

    Args:
        x: ``(..., T, D)``.
        kernel: ``(W, D)`` with ``W >= 2``; ``kernel[-1]`` weighs the current input.
        state: ``(inputs (..., W - 1, D), filled (..., W - 1) bool)``, oldest first; ``initial`` if None.
        starts: ``(..., T)`` bool: before step t, the state becomes ``initial``.
        valid: ``(..., T)`` bool: other steps take no place in the window, and their output is 0.
        initial: the window at each start; None is empty (zeros).
        method: ``"auto"``, ``"sequential"``, ``"associative"``, ``"chunked"`` or ``"fused"``.
        chunk_size: steps per chunk of ``"chunked"``.

    Returns:
        ``(state, y)`` with ``y (..., T, D)``.
    """
    x, kernel = as_array(x), as_array(kernel)
    check_rank("x", x, 2, "(..., T, D)")
    if kernel.ndim != 2 or kernel.shape[0] < 2 or kernel.shape[1] != x.shape[-1]:
        raise ValueError(
            f"kernel has shape {tuple(kernel.shape)}, expected (W, {x.shape[-1]}) with W >= 2 to "
            f"match x {tuple(x.shape)}"
        )
    rule = CausalConvolution(length=kernel.shape[0] - 1)
    call = Call(starts, valid, method, chunk_size)
    inputs = {"x": x}
    return run_rule(rule, inputs, "x", -2, state, initial, call, {"kernel": kernel})
