"""Training with Equinox."""

from typing import Any

import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.loss import Sums, mean_loss, sums
from memcore_equinox import Memory

import equinox as eqx  # isort: skip  (after the adapter, whose message names the extra)


class EquinoxLearner:
    """A module that is a tree, under `eqx.filter_jit` and `eqx.filter_grad`."""

    def __init__(self, model: Model, params: Any, optimizer: optax.GradientTransformation):
        def logits(module: Memory, batch: Batch) -> Any:
            return module(batch["xs"], starts=batch["starts"])[1]

        def loss(module: Memory, batch: Batch) -> tuple[Any, Sums]:
            return mean_loss(logits(module, batch), batch["targets"], batch["weights"])

        @eqx.filter_jit
        def step(module: Memory, memory: Any, batch: Batch) -> tuple[Memory, Any, Sums]:
            gradients, total = eqx.filter_grad(loss, has_aux=True)(module, batch)
            arrays = eqx.filter(module, eqx.is_inexact_array)
            updates, memory = optimizer.update(gradients, memory, arrays)
            return eqx.apply_updates(module, updates), memory, total

        @eqx.filter_jit
        def evaluate(module: Memory, batch: Batch) -> Sums:
            return sums(logits(module, batch), batch["targets"], batch["weights"])

        module = Memory(model, params=params)
        self.state = (module, optimizer.init(eqx.filter(module, eqx.is_inexact_array)))
        self._step, self._evaluate = step, evaluate

    @property
    def params(self) -> Any:
        return self.state[0].params

    def step(self, batch: Batch) -> Sums:
        module, memory, total = self._step(*self.state, batch)
        self.state = (module, memory)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        return self._evaluate(self.state[0], batch)
