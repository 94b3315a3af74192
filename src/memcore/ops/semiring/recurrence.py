"""What log-sum-exp and max-plus share: the linear recurrence of a semiring whose product is ``+``.

``h_t = join(h_{t-1} + a_t, b_t)``, elementwise, for a `join` that is associative, commutative and
shifted by what both its arguments are shifted by. Element ``(a, b)``; ``(a, b) . (c, d) =
(a + c, join(b + c, d))``; it acts on h as ``join(h + a, b)``. Empty is the finite `FLOOR`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore.backend import asarray_like, broadcast_like, checkpoint, fold, namespace, tree_map
from memcore.engine.resets import select
from memcore.nn import wide
from memcore.ops.floor import FLOOR, floored, forgetting
from memcore.ops.rule import Rule, keep


@dataclass(frozen=True)
class SemiringRecurrence(Rule):
    """Inputs ``input`` b ``(..., N)`` and, if there is one, ``log_decay`` a, ``(..., N)`` or ``(..., 1)``;
    the state is h ``(..., N)``."""

    saturates: ClassVar[bool] = True

    def join(self, x: Any, y: Any) -> Any:
        """The semiring's sum of what was there (x) and what comes (y)."""
        raise NotImplementedError

    def zeros(self, inputs: Any) -> Any:
        return np.full(inputs["input"].shape[-1:], FLOOR)

    def lift(self, params: Any, inputs: Any) -> Any:
        new = floored(wide(inputs["input"]))
        if "log_decay" not in inputs:
            return None, new
        return forgetting(asarray_like(inputs["log_decay"], new)), new

    def binary_op(self, params: Any, a: Any, b: Any) -> Any:
        decay = None if a[0] is None else a[0] + b[0]
        return decay, self.act(params, a[1], b)

    def act(self, params: Any, state: Any, element: Any) -> Any:
        decay, new = element
        return self.join(state if decay is None else floored(state + decay), new)

    def fused(
        self, params: Any, state: Any, inputs: Any, starts: Any, *, valid: Any = None,
        chunk_size: int | None = None,
    ) -> tuple[Any, Any]:  # fmt: skip
        """A fold whose gradient keeps one state per step, and computes the rest again."""
        axis = state.ndim - 1
        decay, new = self.lift({}, inputs)
        new = keep(valid, new, FLOOR)
        decay = decay if decay is None else keep(valid, decay)
        constant = decay is not None and decay.shape[axis] != new.shape[axis]
        initial = None if starts is None else broadcast_like(self.initial_state(params), state)
        slots = tree_map(lambda x: namespace(x).moveaxis(x, axis, 0), (decay, new, starts))
        still = slots[0][0, ...] if constant else None

        def body(h: Any, slot: Any) -> Any:
            decay, new, start = slot
            h = self.act({}, select(start, initial, h), (still if constant else decay, new))
            return h, h

        slots = (None if constant else slots[0], *slots[1:])
        state, hs = fold(checkpoint(body, state), state, slots, new.shape[axis])
        return state, namespace(hs).moveaxis(hs, 0, axis)
