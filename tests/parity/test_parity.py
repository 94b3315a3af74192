"""The same training on digits in every framework: losses step by step, parameters at the end."""

import jax
import numpy as np
import pytest

from memcore.registry import lookup
from memcore.tasks import Digits, batches
from memcore.train import Config, evaluate, network
from memcore.train.learners import new_learner

pytestmark = pytest.mark.backend("jax")

STEPS = 12
OTHERS = ("equinox", "linen", "nnx")


def config(name: str, framework: str = "core") -> Config:
    task = Digits()
    model = network(task, lookup(name)(16))
    return Config(task=task, model=model, framework=framework, steps=STEPS, batch_size=16)


def train(config: Config):
    """Losses (STEPS,), the parameters at the end, and the values on the validation split."""
    learner, data = new_learner(config), batches(config.task, batch_size=config.batch_size)
    sums = [learner.step(next(data)) for _ in range(config.steps)]
    losses = np.array([float(s["loss"]) / float(s["weight"]) for s in sums])
    return losses, learner.params, evaluate(learner, config.task, "validation", batch_size=144)


@pytest.fixture(scope="module", params=["gru", "lru"])
def core(request: pytest.FixtureRequest):
    return request.param, train(config(request.param))


@pytest.mark.parametrize("framework", OTHERS)
def test_every_framework_learns_the_same(core, framework):
    name, (losses, params, values) = core
    same_losses, same_params, same_values = train(config(name, framework))
    assert losses[-1] < losses[0]
    np.testing.assert_allclose(same_losses, losses, rtol=1e-5, atol=1e-5)
    assert jax.tree.structure(same_params) == jax.tree.structure(params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), same_params, params)
    assert same_values["loss"] == pytest.approx(values["loss"], abs=1e-4)


@pytest.mark.parametrize("framework", ["core", *OTHERS])
def test_a_state_moves_between_learners(framework):
    """What a checkpoint holds of a learner makes another one go on alike."""
    task = Digits()
    model = network(task, lookup("gru")(8), layers=1)
    settings = Config(task=task, model=model, framework=framework, steps=STEPS, batch_size=16)
    learner, data = new_learner(settings), batches(settings.task, batch_size=16)
    learner.step(next(data))
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(learner.state)]
    other = new_learner(settings)
    other.state = jax.tree.unflatten(jax.tree.structure(other.state), leaves)
    batch = next(data)
    for _ in range(2):
        one, same = learner.step(batch), other.step(batch)
        assert float(one["loss"]) == float(same["loss"])
    jax.tree.map(np.testing.assert_array_equal, learner.params, other.params)
