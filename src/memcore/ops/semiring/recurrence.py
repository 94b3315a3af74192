"""What log-sum-exp and max-plus share: the linear recurrence of a semiring whose product is ``+``.

``h_t = join(h_{t-1} + a_t, b_t)``, elementwise, for a `join` that is associative, commutative and
shifted by what both its arguments are shifted by. Element ``(a, b)``; ``(a, b) . (c, d) =
(a + c, join(b + c, d))``; it acts on h as ``join(h + a, b)``. Empty is the finite `FLOOR`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.backend import asarray_like, broadcast_like, checkpoint, fold, namespace, tree_map
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.resets import select
from memcore.nn import wide
from memcore.ops.floor import FLOOR, floored, forgetting
from memcore.ops.rule import Rule
from memcore.ops.run import keep, sum_of_used
from memcore.types import Reads, Tree


@dataclass(frozen=True)
class SemiringRecurrence(Rule):
    """Inputs by ``names``: b ``(..., N)`` and, if there is one, a, ``(..., N)`` or ``(..., 1)``; the state is
    h ``(..., N)``."""

    names: ClassVar[tuple[str, str]] = ("b", "a")
    saturates: ClassVar[bool] = True
    returns_states: ClassVar[bool] = True

    def join(self, x: Array, y: Array) -> Array:
        """The semiring's sum of what was there (x) and what comes (y)."""
        raise NotImplementedError

    def zeros(self, inputs: Inputs) -> State:
        return np.full(inputs[self.names[0]].shape[-1:], FLOOR)

    def lift(self, inputs: Inputs) -> Element:
        name, decay = self.names
        new = floored(wide(inputs[name]))
        if decay not in inputs:
            return None, new
        return forgetting(asarray_like(inputs[decay], new)), new

    def binary_op(self, a: Element, b: Element) -> Element:
        decay = None if a[0] is None else a[0] + b[0]
        return decay, self.act(a[1], b)

    def transition(self, inputs: Inputs, used: Array) -> Element:
        return sum_of_used(used, self.lift(inputs)[0])

    def act(self, state: State, element: Element) -> State:
        decay, new = element
        return self.join(state if decay is None else floored(state + decay), new)

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        """A fold whose gradient keeps one state per step, and computes the rest again."""
        axis = state.ndim - 1
        decay, new = self.lift(inputs)
        new = keep(valid, new, FLOOR)
        decay = decay if decay is None else keep(valid, decay)
        constant = decay is not None and decay.shape[axis] != new.shape[axis]
        initial = self.zeros(inputs) if initial is None else initial
        initial = None if starts is None else broadcast_like(initial, state)
        slots = tree_map(lambda x: namespace(x).moveaxis(x, axis, 0), (decay, new, starts))
        still = slots[0][0, ...] if constant else None

        def body(h: Array, slot: Tree) -> Tree:
            decay, new, start = slot
            h = self.act(select(start, initial, h), (still if constant else decay, new))
            return h, h

        slots = (None if constant else slots[0], *slots[1:])
        state, hs = fold(checkpoint(body, state), state, slots, new.shape[axis])
        return state, namespace(hs).moveaxis(hs, 0, axis)
