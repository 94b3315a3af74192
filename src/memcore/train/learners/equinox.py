"""Training with Equinox."""

import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.objective.objective import Objective, Sums, norms
from memcore_equinox import Memory

import equinox as eqx  # isort: skip  (after the adapter, whose message names the extra)
from memcore.types import Params, State, Tree


class EquinoxLearner:
    """A module that is a tree, under `eqx.filter_jit` and `eqx.filter_grad`."""

    def __init__(
        self,
        model: Model,
        params: Params,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        placement: Placement = ONE_DEVICE,
    ) -> None:
        def run(module: Memory, batch: Batch, carry: Tree) -> tuple[Tree, Tree]:
            apply = placement.apply(module, model, module.params)
            return objective.run(apply, batch, carry)

        @eqx.filter_jit
        def step(
            module: Memory, memory: State, batch: Batch, carry: Tree
        ) -> tuple[Memory, Tree, Tree]:
            gradients, (total, carry) = eqx.filter_grad(run, has_aux=True)(module, batch, carry)
            arrays = eqx.filter(module, eqx.is_inexact_array)
            updates, memory = optimizer.update(gradients, memory, arrays)
            after = eqx.apply_updates(module, updates)
            changed = norms(gradients, arrays, eqx.filter(after, eqx.is_inexact_array))
            return after, memory, ({**total, **changed}, carry)

        @eqx.filter_jit
        def evaluate(module: Memory, batch: Batch, carry: Tree) -> tuple[Sums, Tree]:
            return run(module, batch, carry)[1]

        module = Memory(model, params=params)
        self.state = (module, optimizer.init(eqx.filter(module, eqx.is_inexact_array)))
        self.model, self.carry = model, None
        self._step, self._evaluate = step, evaluate

    @property
    def params(self) -> Params:
        return self.state[0].params

    @params.setter
    def params(self, params: Params) -> None:
        self.state = (Memory(self.state[0].model, params=params), self.state[1])

    @property
    def memory(self) -> State:
        return self.state[1]

    def step(self, batch: Batch) -> Sums:
        *state, (total, self.carry) = self._step(*self.state, batch, self.carry)
        self.state = tuple(state)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        total, self.carry = self._evaluate(self.state[0], batch, self.carry)
        return total
