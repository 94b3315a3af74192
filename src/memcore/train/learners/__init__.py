"""One learner for each framework, imported when it is asked for."""

import functools
import importlib
from typing import get_args

import jax
import optax

from memcore.cell import Model
from memcore.train.devices.placement import ONE_DEVICE, Placement
from memcore.train.learners.base import Learner as Learner
from memcore.train.learners.base import refill
from memcore.train.objective.config import Config, Framework, OptimizerOptions
from memcore.train.objective.objective import Objective
from memcore.train.objective.optimizer import make_optimizer
from memcore.types import Params, Tree

FRAMEWORKS: tuple[Framework, ...] = get_args(Framework)

CLASSES = {
    "core": "CoreLearner",
    "equinox": "EquinoxLearner",
    "linen": "LinenLearner",
    "nnx": "NNXLearner",
}


def make_learner(
    framework: Framework,
    model: Model,
    params: Params,
    optimizer: optax.GradientTransformation,
    objective: Objective,
    placement: Placement = ONE_DEVICE,
) -> Learner:
    """A learner of `model` that begins with `params`, the core's nested dict; `placement` says how time lies.

    Raises ValueError for an unknown framework, ImportError naming the extra of one that is not
    installed.
    """
    if framework not in CLASSES:
        raise ValueError(f"framework is {framework!r}, expected one of {', '.join(FRAMEWORKS)}")
    module = importlib.import_module(f"memcore.train.learners.{framework}")
    return getattr(module, CLASSES[framework])(model, params, optimizer, objective, placement)


def new_learner(
    config: Config, params: Params | None = None, placement: Placement = ONE_DEVICE
) -> Learner:
    """A learner with these parameters, or a configuration's initial ones: the same in every framework."""
    if params is None:
        params = _init(jax.random.key(config.seed), model=config.model)
    seed = config.seed if config.optimizer.noise else 0
    optimizer = _optimizer(config.model, config.optimizer, config.steps, seed, placement)
    objective = Objective(config.task.loss, config.precision)
    parts = (config.computing, params, optimizer, objective, placement)
    learner = make_learner(config.framework, *parts)
    placement.put(learner)
    if config.segment:
        learner.carry = placement.begin(config.model, learner.params, config.batch_size)
    return learner


def average(learner: Learner) -> Tree:
    """The moving average of the parameters, which stands first in the optimizer's state."""
    params = learner.params
    count = len(jax.tree.leaves(params))
    return refill(params, jax.tree.leaves(learner.memory)[:count])


@functools.partial(jax.jit, static_argnames="model")
def _init(key: jax.Array, *, model: Model) -> Params:
    return model.init(key)


@functools.lru_cache(maxsize=16)
def _optimizer(
    model: Model, options: OptimizerOptions, steps: int, seed: int, placement: Placement
) -> optax.GradientTransformation:
    """One object for equal arguments, so that runs that differ in their seed compile once.

    `seed` is that of the noise on gradients, 0 without noise.
    """
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    return placement.optimizer(make_optimizer(options, steps, model.labels(shapes), seed))
