"""Training with pure functions."""

from functools import partial

import jax
import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.objective.objective import Objective, Sums, norms
from memcore.types import Params, State, Tree


class CoreLearner:
    """The core alone: a dict of parameters, and functions of it under `jax.jit`."""

    def __init__(
        self,
        model: Model,
        params: Params,
        optimizer: optax.GradientTransformation,
        objective: Objective,
        placement: Placement = ONE_DEVICE,
    ) -> None:
        self.state, self.carry = (params, optimizer.init(params)), None
        self._how = {"model": model, "objective": objective, "placement": placement}
        self.model, self._optimizer = model, optimizer

    @property
    def params(self) -> Params:
        return self.state[0]

    @params.setter
    def params(self, params: Params) -> None:
        self.state = (params, self.state[1])

    @property
    def memory(self) -> State:
        return self.state[1]

    def step(self, batch: Batch) -> Sums:
        args = (*self.state, batch, self.carry)
        *state, (total, self.carry) = _step(*args, optimizer=self._optimizer, **self._how)
        self.state = tuple(state)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        total, self.carry = _evaluate(self.params, batch, self.carry, **self._how)
        return total


@partial(jax.jit, static_argnames=("model", "objective", "optimizer", "placement"))
def _step(
    params: Params,
    memory: State,
    batch: Batch,
    carry: Tree,
    *,
    model: Model,
    objective: Objective,
    optimizer: optax.GradientTransformation,
    placement: Placement,
) -> tuple[Tree, Tree, Tree]:
    def loss(params: Params) -> tuple[jax.Array, Tree]:
        apply = placement.apply(partial(model.apply, params), model, params)
        return objective.run(apply, batch, carry)

    gradients, (total, carry) = jax.grad(loss, has_aux=True)(params)
    updates, memory = optimizer.update(gradients, memory, params)
    after = optax.apply_updates(params, updates)
    return after, memory, ({**total, **norms(gradients, params, after)}, carry)


@partial(jax.jit, static_argnames=("model", "objective", "placement"))
def _evaluate(
    params: Params, batch: Batch, carry: Tree, *, model: Model, objective: Objective, placement: Placement
) -> tuple[Sums, Tree]:  # fmt: skip
    apply = placement.apply(partial(model.apply, params), model, params)
    return objective.run(apply, batch, carry)[1]
