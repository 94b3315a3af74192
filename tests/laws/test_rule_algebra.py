"""The elements of every rule: their operator is associative, and acts on states as the steps do."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.checks import close
from cases.ops import OPS
from conftest import Backend


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if op.rule])
@pytest.mark.parametrize("seed", range(3))
def test_laws_of_the_algebra(name: str, seed: int, backend: Backend) -> None:
    rule, inputs = OPS[name].rule(OPS[name].draw(np.random.default_rng(seed), 3))
    h = backend.asarray(OPS[name].state(np.random.default_rng(seed + 100)))
    inputs = backend.asarray(inputs)
    steps = [
        optree.tree_map(lambda x, t=t: x[:, min(t, x.shape[1] - 1), ...], inputs) for t in range(3)
    ]
    a, b, c = (rule.lift(u) for u in steps)

    def op(x: Any, y: Any) -> Any:
        return rule.binary_op(x, y)

    def act(state: Any, element: Any) -> Any:
        return rule.act(state, element)

    close(op(op(a, b), c), op(a, op(b, c)), 1e-12)
    close(act(act(h, a), b), act(h, op(a, b)), 1e-12)
    for u, element in zip(steps, (a, b, c), strict=True):
        close(rule.step(h, u), act(h, element), 1e-12)
