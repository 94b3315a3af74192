"""The last W items: what sliding-window attention and causal convolutions remember.

The state is the window: its items, oldest first, and which of its places are filled. Element: a window
too; ``a . b`` is the last W items of a followed by b. It acts on a state as it combines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore import methods
from memcore.backend import namespace, tree_map
from memcore.call import Call
from memcore.ops.rule import Rule, keep, wide
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
        return tree_map(lambda x, y: gather(append(x, y, a[-1].ndim - 1), source), a, b)

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
        return tuple(append(s[index], x, axis) for s, x in zip(state, new, strict=True))

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
            items = [gather(x, order) for x in items]
            number, filled = gather(number, order), gather(valid, order)
        line = [append(s, x, axis) for s, x in zip(state, [*items, filled], strict=True)]
        number = append(xp.zeros_like(line[-1][..., : self.length], dtype=xp.int32), number, axis)
        state = self._last(line, number == last, valid, axis)
        missing = front - self.length
        if missing:
            line = [pad(x, axis, missing, front=True) for x in line]
            number = pad(number, axis, missing, front=True)
        return line[:-1], number, line[-1], order, state

    def stepwise(
        self, params: Any, state: Any, inputs: Any, starts: Any, valid: Any
    ) -> tuple[Any, ...]:
        """The fold, for windows that are not empty at starts: masks cannot say those."""
        call = Call(starts, valid, "sequential")
        return methods.recur(self, params, inputs, state, call, starts.shape)

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
        return tuple(gather(x, source) for x in line)


def append(a: Any, b: Any, axis: int) -> Any:
    return namespace(a, b).concat([a, b], axis=axis)


def pad(x: Any, axis: int, count: int, *, front: bool = False) -> Any:
    """``count`` zeros along ``axis``, behind or in front."""
    zeros = namespace(x).zeros((*x.shape[:axis], count, *x.shape[axis + 1 :]), dtype=x.dtype)
    return append(zeros, x, axis) if front else append(x, zeros, axis)


def gather(x: Any, source: Any) -> Any:
    """``x`` at the places ``source (*lead, n)`` of its axis behind ``lead``."""
    xp = namespace(x)
    axis = source.ndim - 1
    index = xp.broadcast_to(align(source, x.ndim), (*source.shape, *x.shape[axis + 1 :]))
    return xp.take_along_axis(x, index, axis=axis)


def undo(order: Any, x: Any) -> Any:
    """Move the steps of ``x`` back to where they came from."""
    return x if order is None else gather(x, namespace(order).argsort(order, axis=-1))
