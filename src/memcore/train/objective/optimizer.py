"""The optimizer: one transformation of optax for every framework's parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from memcore.train.objective.config import OptimizerOptions

NOISE_DECAY = 0.55
"""Exponent by which the variance of the noise falls with the steps (arXiv:1511.06807)."""


def make_optimizer(
    options: OptimizerOptions, steps: int, labels: Any, seed: int = 0
) -> optax.GradientTransformation:
    """AdamW for `steps` updates.

    labels: `model.labels(params)`, a tree of names; trees that wrap the same parameters in the
    same order (a module, a state) fit as well. `seed` is that of the noise.
    """

    def labelled(name: str) -> Callable[[Any], Any]:
        return lambda params: _like(jax.tree.map(lambda label: label == name, labels), params)

    noise = [_noise(options.noise, seed)] if options.noise else []
    adamw = optax.chain(
        *noise,
        optax.clip_by_global_norm(options.clip),
        optax.scale_by_adam(),
        optax.add_decayed_weights(options.weight_decay, labelled("matrix")),
        optax.masked(optax.scale(options.recurrence_rate), labelled("recurrence")),
        optax.scale_by_learning_rate(schedule(options, steps)),
    )

    whole = averaged(adamw, options.average) if options.average else adamw

    def update(gradients: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        # optax mixes counts and floats, which a program may have forbidden.
        with jax.numpy_dtype_promotion("standard"):
            return whole.update(gradients, state, params)

    return optax.GradientTransformation(whole.init, update)


def schedule(options: OptimizerOptions, steps: int) -> optax.Schedule:
    """The learning rate by the number of updates before it, of `steps`."""
    warmup = min(round(options.warmup * steps), steps - 1)
    return optax.warmup_cosine_decay_schedule(0.0, options.learning_rate, warmup, steps)


def rates(options: OptimizerOptions, steps: int) -> list[float]:
    """The learning rate of each of `steps` updates."""
    with jax.numpy_dtype_promotion("standard"):
        values = schedule(options, steps)(jnp.arange(steps))
    return [float(rate) for rate in np.asarray(values)]


def _noise(variance: float, seed: int) -> optax.GradientTransformation:
    """`optax.add_noise`, whose random key follows from seed and step: a checkpoint holds the count."""
    noise = optax.add_noise(variance, NOISE_DECAY, 0)

    def init(params: Any) -> Any:
        return noise.init(params).count

    def update(gradients: Any, count: Any, params: Any = None) -> tuple[Any, Any]:
        key = jax.random.fold_in(jax.random.key(seed), count)
        gradients, state = noise.update(gradients, optax.AddNoiseState(count, key), params)
        return gradients, state.count

    return optax.GradientTransformation(init, update)


class Averaged(NamedTuple):
    """The moving average of the parameters, first, how many updates it has seen, and the state inside."""

    average: Any
    count: Any
    inner: Any


def averaged(inner: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """`inner`, whose state holds a moving average of the parameters that it leads to as well.

    After t updates the decay is at most (1 + t) / (10 + t): the average forgets its beginning quickly.
    """

    def init(params: Any) -> Averaged:
        return Averaged(params, jnp.zeros((), jnp.int32), inner.init(params))

    def update(gradients: Any, state: Averaged, params: Any = None) -> tuple[Any, Averaged]:
        updates, after = inner.update(gradients, state.inner, params)
        new, count = optax.apply_updates(params, updates), state.count + 1
        share = 1 - jnp.minimum(decay, (1 + count) / (10 + count))
        return updates, Averaged(optax.incremental_update(new, state.average, share), count, after)

    return optax.GradientTransformation(init, update)


def _like(tree: Any, params: Any) -> Any:
    """`tree` in the structure of `params`, which has the same leaves in the same order."""
    return jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(tree))
