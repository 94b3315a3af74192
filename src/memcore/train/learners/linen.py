"""Training with Flax Linen."""

from functools import partial

import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.objective.objective import Objective, Sums, norms
from memcore_flax.linen import Memory

import jax  # isort: skip  (after the adapter, whose message names the extra)
import jax.numpy as jnp  # isort: skip
from flax.training.train_state import TrainState  # isort: skip
from memcore.types import Params, State, Tree


class LinenLearner:
    """A module's `apply` and a `TrainState`, under `jax.jit`."""

    def __init__(
        self,
        model: Model,
        params: Params,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        placement: Placement = ONE_DEVICE,
    ) -> None:
        module = Memory(model)

        def loss(params: Params, batch: Batch, carry: Tree) -> tuple[jax.Array, Tree]:
            whole = partial(module.apply, {"params": params})
            return objective.run(placement.apply(whole, model, params["memory"]), batch, carry)

        @jax.jit
        def step(state: TrainState, batch: Batch, carry: Tree) -> tuple[TrainState, Tree]:
            gradients, (total, carry) = jax.grad(loss, has_aux=True)(state.params, batch, carry)
            after = state.apply_gradients(grads=gradients)
            return after, ({**total, **norms(gradients, state.params, after.params)}, carry)

        @jax.jit
        def evaluate(params: Params, batch: Batch, carry: Tree) -> tuple[Sums, Tree]:
            return loss(params, batch, carry)[1]

        state = TrainState.create(apply_fn=module.apply, params={"memory": params}, tx=optimizer)
        # A count that is an array from the first step on, so that the second does not compile.
        self.state, self.carry = state.replace(step=jnp.zeros((), "int32")), None
        self.model, self._step, self._evaluate = model, step, evaluate

    @property
    def params(self) -> Params:
        return self.state.params["memory"]

    @params.setter
    def params(self, params: Params) -> None:
        self.state = self.state.replace(params={"memory": params})

    @property
    def memory(self) -> State:
        return self.state.opt_state

    def step(self, batch: Batch) -> Sums:
        self.state, (total, self.carry) = self._step(self.state, batch, self.carry)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        total, self.carry = self._evaluate(self.state.params, batch, self.carry)
        return total
