"""Training with Flax NNX."""

from typing import Any

import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.loss import Sums, mean_loss, sums
from memcore_flax.nnx import Memory

from flax import nnx  # isort: skip  (after the adapter, whose message names the extra)


class NNXLearner:
    """A module and an `nnx.Optimizer`, both changed in place under `nnx.jit`."""

    def __init__(self, model: Model, params: Any, optimizer: optax.GradientTransformation):
        def logits(module: Memory, batch: Batch) -> Any:
            return module(batch["xs"], starts=batch["starts"])[1]

        def loss(module: Memory, batch: Batch) -> tuple[Any, Sums]:
            return mean_loss(logits(module, batch), batch["targets"], batch["weights"])

        @nnx.jit
        def step(module: Memory, optimizer: nnx.Optimizer, batch: Batch) -> Sums:
            gradients, total = nnx.grad(loss, has_aux=True)(module, batch)
            optimizer.update(module, gradients)
            return total

        @nnx.jit
        def evaluate(module: Memory, batch: Batch) -> Sums:
            return sums(logits(module, batch), batch["targets"], batch["weights"])

        self._module = Memory(model, params=params)
        self._optimizer = nnx.Optimizer(self._module, optimizer, wrt=nnx.Param)
        self._step, self._evaluate = step, evaluate

    @property
    def params(self) -> Any:
        return self._module.params

    @property
    def state(self) -> Any:
        return nnx.state((self._module, self._optimizer))

    @state.setter
    def state(self, tree: Any) -> None:
        nnx.update((self._module, self._optimizer), tree)

    def step(self, batch: Batch) -> Sums:
        return self._step(self._module, self._optimizer, batch)

    def evaluate(self, batch: Batch) -> Sums:
        return self._evaluate(self._module, batch)
