"""The last W items: what sliding-window attention and causal convolutions remember.

The state is the window: its items, oldest first, and which of its places are filled. Element: a window
too, with as many places as it has steps where those are fewer; ``a . b`` is the last W items of a followed by
b. It acts on a state as it combines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore.backend import checkpoint, fold, namespace, placed_like, tree_map
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.call import Call
from memcore.engine.chunking import CHUNK_SIZE, into_chunks, out_of_chunks
from memcore.engine.methods import sequential
from memcore.engine.prefix import flags, full
from memcore.engine.recurrence import Recurrence
from memcore.engine.resets import align, segments
from memcore.nn import wide
from memcore.ops.rule import Rule, RulePart, fresh_state
from memcore.ops.run import keep
from memcore.types import Reads, Tree


@dataclass(frozen=True)
class Window(Rule):
    """A memory of the last ``length`` items: state ``(*items (..., W, *item), filled (..., W))``."""

    length: int = 64

    names: ClassVar[tuple[str, ...]] = ()
    """The inputs that the window keeps; ``item_ndim`` is their rank without batch and time."""
    item_ndim: ClassVar[int] = 1

    def zeros(self, inputs: Inputs) -> State:
        items = [np.zeros((self.length, *inputs[n].shape[-self.item_ndim :])) for n in self.names]
        return (*items, np.zeros(self.length, dtype=bool))

    def lift(self, inputs: Inputs) -> Element:
        items = [wide(inputs[name]) for name in self.names]
        xp, lead = namespace(items[0]), items[0].shape[: items[0].ndim - self.item_ndim]

        def alone(x: Array) -> Array:
            axis = x.ndim - self.item_ndim
            last = xp.expand_dims(x, axis=axis)
            shape = (*lead, self.length - 1, *x.shape[axis:])
            return xp.concat([xp.zeros_like(xp.broadcast_to(last, shape)), last], axis=axis)

        filled = xp.broadcast_to(xp.arange(self.length) == self.length - 1, (*lead, self.length))
        filled = placed_like(filled, items[0], len(lead))
        return (*(alone(x) for x in items), filled)

    def binary_op(self, a: Element, b: Element) -> Element:
        xp, axis = namespace(a[-1]), a[-1].ndim - 1
        size = min(self.length, a[-1].shape[axis] + b[-1].shape[axis])
        a = tree_map(lambda x: in_front(x, axis, size - x.shape[axis]), a)
        last = b[-1].shape[axis]
        count = xp.sum(xp.astype(b[-1], xp.int32), axis=-1, dtype=xp.int32)[..., None]
        place = xp.arange(size, dtype=xp.int32)
        source = xp.where(place >= size - count, place + last, place + count)
        return tree_map(lambda x, y: gather(append(x, y, axis), source), a, b)

    def act(self, state: State, element: Element) -> State:
        lead = element[-1].shape[:-1]
        state = tree_map(
            lambda s, e: namespace(s).broadcast_to(s, (*lead, *s.shape[len(lead) :])),
            state,
            element,
        )
        return self.binary_op(state, element)

    def step(self, state: State, inputs: Inputs) -> State:
        """The same as acting with the lifted item, without moving a whole window."""
        axis = state[-1].ndim - 1
        items = [wide(inputs[name]) for name in self.names]
        xp = namespace(state[-1])
        new = [*(xp.expand_dims(x, axis=axis) for x in items), xp.ones_like(state[-1][..., :1])]
        index = (slice(None),) * axis + (slice(1, None), ...)
        return tuple(append(s[index], x, axis) for s, x in zip(state, new, strict=True))

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        """Masks say which items a step sees. They cannot say windows that are not empty at starts: the
        fold over single steps does."""
        if fresh_state(initial, state, starts) is not None:
            call, shape = Call(starts, valid, "sequential"), tuple(starts.shape)
            job = Recurrence(RulePart(1, self), {}, inputs, state, initial, call, shape)
            state, out = sequential(job)
            return state, out
        inputs = {name: wide(x) for name, x in inputs.items()}
        weights = {name: _alone(inputs.pop(name), state[-1].ndim) for name in self.weights}
        return self._fused(weights, state, inputs, starts, valid, chunk_size)

    def _fused(
        self, weights: dict[str, Array], state: State, inputs: dict[str, Array], starts: Starts,
        valid: Array, chunk_size: int | None,
    ) -> tuple[State, Array]:  # fmt: skip
        """A fold over blocks of C steps, each behind the W items before it: ``O(T (W + C))``.

        Small blocks stay in the cache, and for the gradient only their inputs are kept.
        """
        axis, front = state[-1].ndim - 1, self.length
        length = inputs[self.names[0]].shape[axis]
        line, others, order = self.line(state, inputs, starts, valid)
        after = self.outgoing(line, starts, length)
        size = min(chunk_size or max(front, CHUNK_SIZE), length)

        def into_blocks(x: Array) -> Array:
            return namespace(x).moveaxis(into_chunks(x, axis, size, 0), axis + 1, -2)

        def body(before: list[Tree], slot: Tree) -> Tree:
            line = [append(a, b, -2) for a, b in zip(before, slot[0], strict=True)]
            return [x[..., size:, :] for x in line], self.block(weights, line, slot[1])

        before = [between(x, axis, 0, front) for x in line]
        behind = [between(x, axis, front, front + length) for x in line]
        if order is None:
            # As they came: of what is joined and cut again, the gradient is padded twice.
            before[:-1], behind[:-1] = state[:-1], [inputs[name] for name in self.names]
        before = [namespace(x).moveaxis(x, axis, -2) for x in before]
        slots = tree_map(into_blocks, (behind, others))
        _, out = fold(checkpoint(body, state), before, slots, -(-length // size))
        out = namespace(out).moveaxis(out, -2, axis + 1)
        return after, undo(order, out_of_chunks(out, axis, length))

    @property
    def reach(self) -> int:  # type: ignore[override]
        return self.length

    def element(self, job: Recurrence) -> tuple[Array, Array, Element]:
        """The window that a run from an empty one leaves, without places that it cannot fill."""
        left = self.written(job, full(self.zeros(job.inputs), job))
        first = max(self.length - job.length, 0)
        return (*flags(job), tree_map(lambda x: between(x, job.axis, first, self.length), left))

    def block(
        self, weights: dict[str, Array], line: list[Array], others: dict[str, Array]
    ) -> Array:
        """What C steps read, ``(..., C, N)``, the last ones of a line of W + C places.

        Items arrive with time as their last axis but one; ``line[-1] (..., W + C, 1)`` are the numbers
        of their sequences, and a step sees those of its own number alone. ``others`` are the
        inputs that the window does not keep, of the C steps; ``weights`` the rule's.
        """
        raise NotImplementedError

    def line(
        self, state: State, inputs: dict[str, Array], starts: Starts, valid: Array
    ) -> tuple[list[Array], dict[str, Any], Array]:
        """The incoming window and the new items behind it, in one line: ``(line, others, order)``.

        ``line`` is ``[*items (..., W + T, *item), number (..., W + T, 1)]``. The numbers count the
        sequences from 0, the incoming window's, and are -1 where there is nothing: those places come
        first, so that filled ones are neighbours. ``others`` are the inputs that the window does
        not keep, in the same order; ``order`` is that permutation of time, or None.
        """
        xp, axis = namespace(state[-1]), state[-1].ndim - 1
        others = {name: x for name, x in inputs.items() if name not in self.names}
        first = inputs[self.names[0]]
        first = first[(slice(None),) * (axis + 1) + (0,) * (first.ndim - axis - 1)]
        number = xp.zeros_like(first, dtype=xp.int32) if starts is None else segments(starts)
        number = number if valid is None else xp.where(valid, number, xp.full_like(number, -1))
        number = append(xp.astype(state[-1], xp.int32) - 1, number, axis)
        new = [inputs[name] for name in self.names]
        items = [append(s, x, axis) for s, x in zip(state, new, strict=False)]
        line, order = [*items, number[..., None]], None
        if valid is not None:
            place = xp.argsort(xp.astype(number >= 0, xp.int32), axis=-1, stable=True)
            line = [gather(x, place) for x in line]
            order = xp.argsort(xp.astype(valid, xp.int32), axis=-1, stable=True)
            others = {name: gather(x, order) for name, x in others.items()}
        return line, others, order

    def outgoing(self, line: list[Array], starts: Starts, first: int) -> tuple[Array, ...]:
        """The state that a line leaves: its places from ``first`` on, empty where not of the last
        sequence."""
        xp, axis = namespace(line[-1]), line[-1].ndim - 2
        *items, number = (between(x, axis, first, x.shape[axis]) for x in line)
        last = xp.zeros_like(number[..., 0, 0])
        if starts is not None:
            last = xp.sum(xp.astype(starts, xp.int32), axis=-1, dtype=xp.int32)
        filled = number[..., 0] == last[..., None]
        return (*(keep(filled, x) for x in items), filled)


def _alone(weight: Array, axes: int) -> Array:
    """A weight without its batch and time axes, which have length 1."""
    return namespace(weight).reshape(weight, weight.shape[axes:])


def append(a: Array, b: Array, axis: int) -> Array:
    return namespace(a, b).concat([a, b], axis=axis)


def in_front(x: Array, axis: int, count: int) -> Array:
    """``x`` behind ``count`` more places, which are empty; as it is where there are none to add."""
    if count <= 0:
        return x
    xp = namespace(x)
    more = xp.zeros((*x.shape[:axis], count, *x.shape[axis + 1 :]), dtype=x.dtype)
    return append(placed_like(more, x, axis), x, axis)


def gather(x: Array, source: Array) -> Array:
    """``x`` at the places ``source (*lead, n)`` of its axis behind ``lead``."""
    return namespace(x).take_along_axis(x, align(source, x.ndim), axis=source.ndim - 1)


def between(x: Array, axis: int, start: int, stop: int) -> Array:
    return x[(slice(None),) * axis + (slice(start, stop), ...)]


def undo(order: Array, x: Array) -> Array:
    """Move the steps of ``x`` back to where they came from."""
    return x if order is None else gather(x, namespace(order).argsort(order, axis=-1))
