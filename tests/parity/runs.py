"""A few steps of training in one framework, and what its optimizer was given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import optax

import memcore
from memcore.train import OptimizerOptions
from memcore.train.learners import Learner, make_learner
from memcore.train.learners.base import refill
from memcore.train.objective.objective import Objective
from memcore.train.objective.optimizer import make_optimizer
from parity.cases import BATCH, STEPS, Case


@dataclass(frozen=True)
class Step:
    """One step of training: parameters before it, the batch's summed loss and weight, gradients, state.

    Parameters and gradients are the core's nested dict; `carry` is None where no state is carried.
    """

    params: Any
    sums: dict[str, jax.Array]
    gradients: Any
    carry: Any


@dataclass(frozen=True)
class Run:
    """All steps of a learner, the parameters after them, and the last batch's summed loss with these."""

    steps: list[Step]
    params: Any
    evaluated: jax.Array


def train(case: Case, framework: str) -> Run:
    """`STEPS` steps of a learner from the case's initial parameters, on its batches."""
    model = case.network
    params = jax.jit(model.init)(jax.random.key(0))
    optimizer = make_optimizer(OptimizerOptions(), STEPS, model.labels(params))
    learner = make_learner(framework, model, params, remember(optimizer), Objective(case.task.loss))
    if case.segment:
        learner.carry = memcore.initial_state(model, params, (BATCH,))
    batches = case.batches()
    steps = [step(learner, batch) for batch in batches]
    return Run(steps, learner.params, learner.evaluate(batches[-1])["loss"])


def step(learner: Learner, batch: Any) -> Step:
    """One step of a learner whose optimizer was made by `remember`."""
    params = learner.params
    total = learner.step(batch)
    sums = {name: total[name] for name in ("loss", "weight")}
    return Step(params, sums, gradients(learner), learner.carry)


def remember(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """`optimizer`, in whose state the gradients stand first that it was given last."""

    def init(params: Any) -> Any:
        return params, optimizer.init(params)

    def update(gradients: Any, state: Any, params: Any = None) -> Any:
        updates, inner = optimizer.update(gradients, state[1], params)
        return updates, (gradients, inner)

    return optax.GradientTransformation(init, update)


def gradients(learner: Learner) -> Any:
    """What the last step of a learner gave to its optimizer, one made by `remember`."""
    params = learner.params
    return refill(params, jax.tree.leaves(learner.memory)[: len(jax.tree.leaves(params))])
