"""Training with Flax NNX."""

import jax
import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.objective.objective import Objective, Sums, norms
from memcore_flax.nnx import Memory

from flax import nnx  # isort: skip  (after the adapter, whose message names the extra)
from memcore.types import Params, State, Tree


class NNXLearner:
    """A module and an `nnx.Optimizer`, both changed in place under `nnx.jit`."""

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

        @nnx.jit
        def step(module: Memory, optimizer: nnx.Optimizer, batch: Batch, carry: Tree) -> Tree:
            gradients, (total, carry) = nnx.grad(run, has_aux=True)(module, batch, carry)
            before = jax.tree.leaves(nnx.state(module, nnx.Param))
            optimizer.update(module, gradients)
            after = jax.tree.leaves(nnx.state(module, nnx.Param))
            return {**total, **norms(gradients, before, after)}, carry

        @nnx.jit
        def evaluate(module: Memory, batch: Batch, carry: Tree) -> Tree:
            return run(module, batch, carry)[1]

        self._module, self.carry = Memory(model, params=params), None
        self._optimizer = nnx.Optimizer(self._module, optimizer, wrt=nnx.Param)
        self.model, self._step, self._evaluate = model, step, evaluate

    @property
    def params(self) -> Params:
        return self._module.params

    @params.setter
    def params(self, params: Params) -> None:
        state = nnx.state(self._module)
        leaves = jax.tree.leaves(params)
        nnx.update(self._module, jax.tree.unflatten(jax.tree.structure(state), leaves))

    @property
    def state(self) -> State:
        return nnx.state((self._module, self._optimizer))

    @state.setter
    def state(self, tree: Tree) -> None:
        nnx.update((self._module, self._optimizer), tree)

    @property
    def memory(self) -> State:
        return nnx.state(self._optimizer)["opt_state"]

    def step(self, batch: Batch) -> Sums:
        total, self.carry = self._step(self._module, self._optimizer, batch, self.carry)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        total, self.carry = self._evaluate(self._module, batch, self.carry)
        return total
