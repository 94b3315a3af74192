"""The same training in every framework: losses, gradients and states, step by step.

Each learner goes its own way, from the same parameters on the same batches; its gradients are those
that its training step gives to the optimizer. The core on NumPy has the same losses, and their
differences in float64 are the gradients.
"""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import numpy as np
import pytest

import memcore
from adapters.cases import GRADIENTS, VALUES, assert_close
from memcore.compose import ResidualStack
from memcore.registry import alone
from memcore.train import Config, Framework
from memcore.train.learners import FRAMEWORKS, new_learner
from memcore.train.objective.objective import LOSSES, Objective
from parity.cases import BATCH, CASES, Case
from parity.runs import Run, train

pytestmark = pytest.mark.backend("jax")

LATER = 1e-4  # for parameters after all steps, in which differences add up


@cache
def core(name: str) -> Run:
    """The core's run of a case; the same one at every call."""
    return train(CASES[name], "core")


@pytest.mark.parametrize("framework", FRAMEWORKS[1:])
@pytest.mark.parametrize("name", CASES)
def test_every_framework_learns_the_same(name: str, framework: str):
    run, expected = train(CASES[name], framework), core(name)
    for step, same in zip(run.steps, expected.steps, strict=True):
        assert_close(step.sums, same.sums, VALUES)
        assert_close(step.gradients, same.gradients, GRADIENTS)
        assert_close(step.carry, same.carry, GRADIENTS)
    assert_close(run.params, expected.params, LATER)
    assert_close(run.evaluated, expected.evaluated, LATER)


@pytest.mark.parametrize("name", CASES)
def test_losses_on_numpy(name: str):
    case, run = CASES[name], core(name)
    carry = None
    if case.segment:
        params = as_numpy(run.steps[0].params)
        carry = memcore.initial_state(case.network, params, (BATCH,))
    for batch, step in zip(case.batches(), run.steps, strict=True):
        sums, carry = objective_on_numpy(case, step.params, batch, carry)
        assert_close({key: sums[key] for key in step.sums}, step.sums, VALUES)
        assert_close(carry, step.carry, GRADIENTS)


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_differences_of_the_loss_on_numpy(name: str):
    """Those of the first step, leaf by leaf, each in a random direction."""
    case, first, random = CASES[name], core(name).steps[0], np.random.default_rng(0)
    batch = in_float64(case.batches()[0])
    leaves, tree = jax.tree.flatten(in_float64(first.params))

    def loss(place: int, leaf: np.ndarray) -> float:
        params = jax.tree.unflatten(tree, [*leaves[:place], leaf, *leaves[place + 1 :]])
        sums, _ = objective_on_numpy(case, params, batch, None)
        return float(sums["loss"] / sums["weight"])

    for place, (path, gradient) in enumerate(jax.tree.leaves_with_path(first.gradients)):
        way = 1e-5 * random.normal(size=gradient.shape)
        with jax.enable_x64(True):
            ends = [loss(place, leaves[place] + sign * way) for sign in (1, -1)]
        products = np.asarray(gradient, np.float64) * way
        assert np.any(products != 0), jax.tree_util.keystr(path)
        np.testing.assert_allclose(
            products.sum(), (ends[0] - ends[1]) / 2,
            rtol=0, atol=GRADIENTS * np.abs(products).sum(), err_msg=jax.tree_util.keystr(path),
        )  # fmt: skip


def test_every_family_and_every_loss_takes_part():
    """Frameworks share one code for all models: those of a family differ in nothing that training sees."""
    models = {type(case.model) for case in CASES.values()} | {ResidualStack}
    every = set(alone().values())
    assert models < every and {
        m.__module__.split(".")[2] for m in every if "models" in m.__module__
    } == {m.__module__.split(".")[2] for m in models if "models" in m.__module__}
    assert {case.task.loss for case in CASES.values()} == set(LOSSES)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_state_moves_between_learners(framework: Framework):
    """What a checkpoint holds of a learner makes another one go on alike."""
    case = CASES["parity"]
    config = Config(task=case.task, model=case.network, framework=framework, batch_size=BATCH)
    learner, other = new_learner(config), new_learner(config)
    first, *rest = case.batches()
    learner.step(first)
    leaves = as_numpy(jax.tree.leaves(learner.state))
    other.state = jax.tree.unflatten(jax.tree.structure(other.state), leaves)
    for batch in rest:
        jax.tree.map(np.testing.assert_array_equal, learner.step(batch), other.step(batch))
    jax.tree.map(np.testing.assert_array_equal, learner.params, other.params)


def objective_on_numpy(case: Case, params: Any, batch: Any, carry: Any) -> Any:
    """Sums of a batch and the state after it, by the core on NumPy."""
    apply = partial(case.network.apply, as_numpy(params))
    return Objective(case.task.loss).run(apply, batch, carry)[1]


def as_numpy(tree: Any) -> Any:
    return jax.tree.map(np.asarray, tree)


def in_float64(tree: Any) -> Any:
    """On NumPy, with floats of double precision; integers and flags as they are."""
    return jax.tree.map(lambda x: x.astype("float64") if x.dtype.kind == "f" else x, as_numpy(tree))
