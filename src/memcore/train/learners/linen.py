"""Training with Flax Linen."""

from typing import Any

import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.loss import Sums, mean_loss, sums
from memcore_flax.linen import Memory

import jax  # isort: skip  (after the adapter, whose message names the extra)
import jax.numpy as jnp  # isort: skip
from flax.training.train_state import TrainState  # isort: skip


class LinenLearner:
    """A module's `apply` and a `TrainState`, under `jax.jit`."""

    def __init__(self, model: Model, params: Any, optimizer: optax.GradientTransformation):
        module = Memory(model)

        def logits(params: Any, batch: Batch) -> jax.Array:
            return module.apply({"params": params}, batch["xs"], starts=batch["starts"])[1]

        def loss(params: Any, batch: Batch) -> tuple[jax.Array, Sums]:
            return mean_loss(logits(params, batch), batch["targets"], batch["weights"])

        @jax.jit
        def step(state: TrainState, batch: Batch) -> tuple[TrainState, Sums]:
            gradients, total = jax.grad(loss, has_aux=True)(state.params, batch)
            return state.apply_gradients(grads=gradients), total

        @jax.jit
        def evaluate(params: Any, batch: Batch) -> Sums:
            return sums(logits(params, batch), batch["targets"], batch["weights"])

        state = TrainState.create(apply_fn=module.apply, params={"memory": params}, tx=optimizer)
        # A count that is an array from the first step on, so that the second does not compile.
        self.state = state.replace(step=jnp.zeros((), "int32"))
        self._step, self._evaluate = step, evaluate

    @property
    def params(self) -> Any:
        return self.state.params["memory"]

    def step(self, batch: Batch) -> Sums:
        self.state, total = self._step(self.state, batch)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        return self._evaluate(self.state.params, batch)
