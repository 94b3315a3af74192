"""A cell whose parameters meet the state in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from memcore.cell.cell import Cell
from memcore.engine import Call
from memcore.engine.gated import gated
from memcore.engine.recurrence import job_of
from memcore.types import Array, Inputs, Params, Reads, Starts, State, Tree


@dataclass(frozen=True)
class GatedCell(Cell):
    """A cell whose parameters meet the state in one place.

        z_t = project(params, h_{t-1}, u_t)
        h_t = update(h_{t-1}, u_t, z_t)

    So it has a ``fused`` form: on JAX the gradient folds the states' adjoints alone backwards in time, and
    the gradient of the parameters is that of one `project` of all steps. It has something to gain where all
    that `project` gives is made of the state, some of it by products of matrices, and nothing of inputs that
    move in time; any other cell runs by the plain fold. The state is floating point.
    """

    rule_name: ClassVar[str] = "gated_cell"
    dear_update: ClassVar[bool] = False
    """Whether a gradient had better keep what `update` computes than make it again: many exponentials."""

    @property
    def enters(self) -> bool:
        """Whether one product gives what `embed` and `project` add up to, `enter`, faster than two."""
        return False

    @property
    def embeds_late(self) -> bool:  # type: ignore[override]
        return type(self).fused is GatedCell.fused  # another one does not know of ``xs``

    def project(self, params: Params, state: State, inputs: Inputs) -> Tree:
        """All that the step needs of the parameters: floating point, any leading axes."""
        raise NotImplementedError

    def update(self, state: State, inputs: Inputs, projected: Tree) -> State:
        """The next state."""
        raise NotImplementedError

    def enter(self, params: Params, state: State, x: Array) -> Tree:
        """The sum of what `embed` gives of ``x`` and `project` of ``state``, of one step. The fused form
        takes it, on a CPU and without a gradient, where `update` reads the two by that sum alone."""
        raise NotImplementedError

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        return self.update(state, inputs, self.project(params, state, inputs))

    def fused(
        self,
        params: Params,
        state: State,
        inputs: Inputs,
        starts: Starts,
        *,
        initial: State = None,
        valid: Array = None,
        chunk_size: int | None = None,
        xs: Array = None,
    ) -> tuple[State, Reads]:
        job = job_of(self, params, inputs, state, Call(starts, valid), initial)
        state, reads = gated(replace(job, xs=xs))
        return state, reads
