"""The optimizer: one transformation of optax for every framework's parameters."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib

from memcore.train.objective.config import Optimizer, OptimizerOptions
from memcore.types import Array, Params, Tree

MOMENTUM = 0.9
"""Of sgd."""

NOISE_DECAY = 0.55
"""Exponent by which the variance of the noise falls with the steps (arXiv:1511.06807)."""


def make_optimizer(
    options: OptimizerOptions, steps: int, labels: Tree, seed: int = 0
) -> optax.GradientTransformation:
    """The optimizer of the options, for `steps` updates.

    labels: `model.labels(params)`, a tree of names; trees that wrap the same parameters in the
    same order (a module, a state) fit as well. `seed` is that of the noise.
    """

    def labelled(name: str) -> Callable[[Tree], Tree]:
        return lambda params: _like(jax.tree.map(lambda label: label == name, labels), params)

    noise = [_noise(options.noise, seed)] if options.noise else []
    direct = optax.chain(
        *noise,
        optax.clip_by_global_norm(options.clip),
        _direction(options.optimizer, labels),
        optax.add_decayed_weights(options.weight_decay, labelled("matrix")),
        optax.masked(optax.scale(options.recurrence_rate), labelled("recurrence")),
        optax.scale_by_learning_rate(schedule(options, steps)),
    )

    every = options.accumulate
    inner: Tree = direct
    if every > 1:
        inner = optax.MultiSteps(direct, every).gradient_transformation()
    whole = averaged(inner, options.average, every) if options.average else inner

    def update(gradients: Tree, state: Tree, params: Params | None = None) -> tuple[Tree, Tree]:
        # optax mixes counts and floats, which a program may have forbidden.
        with jax.numpy_dtype_promotion("standard"):
            return whole.update(gradients, state, params)

    return optax.GradientTransformation(whole.init, update)


def _direction(name: Optimizer, labels: Tree) -> optax.GradientTransformation:
    """Where a gradient leads, before decay and learning rate."""
    if name == "adamw":
        return optax.scale_by_adam()
    if name == "lion":
        return optax.scale_by_lion()
    if name == "sgd":
        return optax.trace(MOMENTUM)

    def kinds(params: Params) -> Tree:
        return jax.tree.map(_kind, _like(labels, params), params)

    def dimensions(matrices: Array) -> Tree:
        return jax.tree.map(lambda _: optax.contrib.MuonDimensionNumbers(), matrices)

    # Not optax.contrib.muon, which takes its own learning rate and decay.
    muon = optax.contrib.scale_by_muon(weight_dimension_numbers=dimensions)
    return optax.multi_transform({"matrix": muon, "other": optax.scale_by_adam()}, kinds)


def _kind(label: str, leaf: Array) -> str:
    return "matrix" if label == "matrix" and leaf.ndim == 2 else "other"


def schedule(options: OptimizerOptions, steps: int) -> optax.Schedule:
    """The learning rate by the number of updates before it, of `steps`."""
    warmup, rate = min(round(options.warmup * steps), steps - 1), options.learning_rate
    if options.schedule == "cosine":
        return optax.warmup_cosine_decay_schedule(0.0, rate, warmup, steps)
    last = rate if options.schedule == "constant" else 0.0
    after = optax.linear_schedule(rate, last, steps - warmup)
    return optax.join_schedules([optax.linear_schedule(0.0, rate, warmup), after], [warmup])


def rates(options: OptimizerOptions, steps: int) -> list[float]:
    """The learning rate of each of `steps` updates."""
    with jax.numpy_dtype_promotion("standard"):
        values = schedule(options, steps)(jnp.arange(steps))
    return [float(rate) for rate in np.asarray(values)]


def _noise(variance: float, seed: int) -> optax.GradientTransformation:
    """`optax.add_noise`, whose random key follows from seed and step: a checkpoint holds the count."""
    noise = optax.add_noise(variance, NOISE_DECAY, 0)

    def init(params: Params) -> Tree:
        return noise.init(params).count

    def update(gradients: Tree, count: Array, params: Params | None = None) -> tuple[Tree, Tree]:
        key = jax.random.fold_in(jax.random.key(seed), count)
        gradients, state = noise.update(gradients, optax.AddNoiseState(count, key), params)
        return gradients, state.count

    return optax.GradientTransformation(init, update)


class Averaged(NamedTuple):
    """The moving average of the parameters, first, how many gradients it has seen, and the state inside."""

    average: Tree
    count: Array
    inner: Tree


def averaged(
    inner: optax.GradientTransformation, decay: float, every: int = 1
) -> optax.GradientTransformation:
    """`inner`, whose state holds a moving average of the parameters that it leads to as well.

    `inner` makes an update of every so many gradients. After t updates the decay is at most
    (1 + t) / (10 + t): the average forgets its beginning quickly.
    """

    def init(params: Params) -> Averaged:
        return Averaged(params, jnp.zeros((), jnp.int32), inner.init(params))

    def update(
        gradients: Tree, state: Averaged, params: Params | None = None
    ) -> tuple[Tree, Averaged]:
        updates, after = inner.update(gradients, state.inner, params)
        new, count = optax.apply_updates(params, updates), state.count + 1
        done = count // every
        share = 1 - jnp.minimum(decay, (1 + done) / (10 + done))
        share = jnp.where(count % every == 0, share, 0.0)
        return updates, Averaged(optax.incremental_update(new, state.average, share), count, after)

    return optax.GradientTransformation(init, update)


def _like(tree: Tree, params: Params) -> Tree:
    """`tree` in the structure of `params`, which has the same leaves in the same order."""
    return jax.tree.unflatten(jax.tree.structure(params), jax.tree.leaves(tree))
