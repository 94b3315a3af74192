"""The same training in every framework: losses, gradients and states step by step.

Each learner takes its own way from the same parameters on the same batches; the gradients are those
that its own step hands to the optimizer. On NumPy the core gives the same losses, and differences of
them in float64 say that the gradients are right.
"""

from functools import cache, partial

import jax
import numpy as np
import pytest

import memcore
from adapters.cases import GRADIENTS, VALUES, assert_close
from memcore.registry import lookup
from memcore.tasks import Digits, batches
from memcore.train import Config, network
from memcore.train.learners import FRAMEWORKS, new_learner
from memcore.train.objective import LOSSES, Objective
from parity.cases import BATCH, CASES, Case
from parity.runs import Run, train

pytestmark = pytest.mark.backend("jax")


@cache
def core(name: str) -> Run:
    """The core's run of a case; the same one at every call."""
    return train(CASES[name], "core")


@pytest.mark.parametrize("framework", FRAMEWORKS[1:])
@pytest.mark.parametrize("name", CASES)
def test_every_framework_learns_the_same(name, framework):
    run, expected = train(CASES[name], framework), core(name)
    for step, same in zip(run.steps, expected.steps, strict=True):
        assert_close(step.sums, same.sums, VALUES)
        assert_close(step.gradients, same.gradients, GRADIENTS)
        assert_close(step.carry, same.carry, GRADIENTS)
    assert_close(run.params, expected.params, 1e-4)
    assert_close(run.evaluated, expected.evaluated, 1e-4)


def numpy_loss(case: Case, params, batch, carry):
    """Sums and the state after a batch, by the core on NumPy, in the precision of the parameters."""
    
    return Objective(case.task.loss).run(partial(case.network.apply, params), batch, carry)[1]


@pytest.mark.parametrize("name", CASES)
def test_losses_on_numpy(name):
    case, carry = CASES[name], None
    for batch, step in zip(case.batches(), core(name).steps, strict=True):
        params = jax.tree.map(np.asarray, step.params)
        if case.segment and carry is None:
            carry = memcore.initial_state(case.network, params, (BATCH,))
        total, carry = numpy_loss(case, params, batch, carry)
        assert_close({n: np.asarray(total[n]) for n in step.sums}, step.sums, VALUES)
