"""The lock: every function of memcore.ops has cases, and every case a loop to be compared with."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

from cases.ops import OPS, RULES
from golden_vectors import index
from memcore import ops


def test_every_function_is_here() -> None:
    assert set(RULES) == set(ops.__all__)


@pytest.mark.parametrize("function", RULES)
def test_the_cases_of_a_function(function: str) -> None:
    """They bear its name, so that ``-k`` finds them, or it has golden vectors; all its arrays are there."""
    rule = RULES[function]
    assert rule.cases or rule.golden
    assert all(name.startswith(function) for name in rule.cases)
    assert set(rule.optional) < set(rule.arrays)
    assert {*rule.arrays, *rule.more} <= set(inspect.signature(getattr(ops, function)).parameters)
    assert rule.wrong and set(rule.golden) <= set(index())


@pytest.mark.parametrize("name", OPS)
def test_a_case_has_a_reference(name: str) -> None:
    """It is the loop's body: of one step it makes a state of the same shapes, and an output."""
    op, rng = OPS[name], np.random.default_rng(0)
    arrays, state = op.draw(rng, 1), op.state(rng)
    first = {n: x if n in op.constant else x[0, 0] for n, x in arrays.items()}
    before = [leaf[0] for leaf in (state if isinstance(state, tuple) else (state,))]
    after, out = op.step(before[0] if len(before) == 1 else tuple(before), first)
    after = after if isinstance(after, tuple) else (after,)
    assert [np.shape(leaf) for leaf in after] == [np.shape(leaf) for leaf in before]
    assert out is not None
