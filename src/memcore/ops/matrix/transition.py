"""Matrix memories whose transition is a matrix: ``S_t = M_t S_{t-1} + X_t``, ``o_t = S_t^T q_t``.

Element ``(M, X)``: ``(M, X) . (N, Y) = (N M, N X + Y)``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from memcore.backend import namespace
from memcore.cell import Array, Element, Inputs, Starts, State
from memcore.engine.methods import recur
from memcore.engine.prefix import flags, full
from memcore.engine.recurrence import Recurrence
from memcore.nn import wide
from memcore.ops.matrix.chunks import Decays, fold_chunks, summable
from memcore.ops.matrix.inputs import in_time
from memcore.ops.rule import Rule, RulePart, fresh_state
from memcore.types import Reads, Tree


@dataclass(frozen=True)
class TransitionRule(Rule):
    """Inputs by ``names``: ``q, k (..., H, K)``, ``v (..., H, V)`` among them; the state is S
    ``(..., H, K, V)``."""

    scale: float = 1.0

    names: ClassVar[tuple[str, ...]] = ()
    """The inputs, of which the last is optional."""
    state_ndim: ClassVar[int] = 3

    def zeros(self, inputs: Inputs) -> State:
        return np.zeros((*inputs["k"].shape[-2:], inputs["v"].shape[-1]))

    def binary_op(self, a: Element, b: Element) -> Element:
        return b[0] @ a[0], b[0] @ a[1] + b[1]

    def act(self, state: State, element: Element) -> State:
        return element[0] @ state + element[1]

    def element(self, job: Recurrence) -> tuple[Array, Array, Element]:
        """One run of the rule on S and, beside it, the identity, to which no values are written: it becomes
        the transition. No product of matrices for each step."""
        k, (rows, columns) = job.inputs["k"], job.state.shape[-2:]
        v = in_time(job.inputs["v"], k, job.axis + 1)
        xp = namespace(v)
        values = xp.concat([v, xp.zeros_like(k, dtype=v.dtype)], axis=-1)
        first = np.concatenate([np.zeros((rows, columns)), np.eye(rows)], axis=-1)
        first = np.broadcast_to(first, (*job.state.shape[job.axis : -2], *first.shape))
        part = replace(job, cell=RulePart(1, self), params={}, inputs={**job.inputs, "v": values})
        left, _ = recur(replace(part, state=full(first, job), initial=first))
        return (*flags(job), (left[..., columns:], left[..., :columns]))

    def read(self, state: State, inputs: Inputs) -> Reads:
        return ((wide(inputs["q"]) * self.scale)[..., None, :] @ state)[..., 0, :]

    def fused(
        self, state: State, inputs: Inputs, starts: Starts, *, initial: State = None,
        valid: Array = None, chunk_size: int | None = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        axis = state.ndim - 3
        inputs = {
            name: in_time(inputs[name], inputs["k"], axis + 1)
            for name in self.names
            if name in inputs
        }
        inputs = summable(inputs)
        fresh = fresh_state(initial, state, starts)

        def body(fresh: State, s: State, u: Tree, starts: Starts, prepared: Tree) -> Tree:
            return self._chunk(s, u, prepared, fresh)

        return fold_chunks(
            body, fresh, state, inputs, starts, valid, axis, chunk_size, prepare=Decays.prepare
        )

    def _chunk(self, state: State, u: Inputs, prepared: Tree, fresh: State) -> tuple[State, Array]:
        """One chunk: inputs ``(..., H, C, *)``, what `Decays.prepare` made, the state at starts."""
        raise NotImplementedError
