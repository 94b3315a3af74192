"""Training with pure functions."""

from functools import partial
from typing import Any

import jax
import optax

from memcore.cell import Model
from memcore.tasks import Batch
from memcore.train.loss import Sums, mean_loss, sums


class CoreLearner:
    """The core alone: a dict of parameters, and functions of it under `jax.jit`."""

    def __init__(self, model: Model, params: Any, optimizer: optax.GradientTransformation):
        self.state = (params, optimizer.init(params))
        self._static = {"model": model, "optimizer": optimizer}

    @property
    def params(self) -> Any:
        return self.state[0]

    def step(self, batch: Batch) -> Sums:
        params, memory, total = _step(*self.state, batch, **self._static)
        self.state = (params, memory)
        return total

    def evaluate(self, batch: Batch) -> Sums:
        return _evaluate(self.params, batch, model=self._static["model"])


@partial(jax.jit, static_argnames=("model", "optimizer"))
def _step(
    params: Any,
    memory: Any,
    batch: Batch,
    *,
    model: Model,
    optimizer: optax.GradientTransformation,
) -> tuple[Any, Any, Sums]:
    def loss(params: Any) -> tuple[jax.Array, Sums]:
        return mean_loss(_logits(params, batch, model), batch["targets"], batch["weights"])

    gradients, total = jax.grad(loss, has_aux=True)(params)
    updates, memory = optimizer.update(gradients, memory, params)
    return optax.apply_updates(params, updates), memory, total


@partial(jax.jit, static_argnames="model")
def _evaluate(params: Any, batch: Batch, *, model: Model) -> Sums:
    return sums(_logits(params, batch, model), batch["targets"], batch["weights"])


def _logits(params: Any, batch: Batch, model: Model) -> jax.Array:
    return model.apply(params, batch["xs"], starts=batch["starts"])[1]
