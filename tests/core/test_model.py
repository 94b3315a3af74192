"""Keys and draws, and models as static arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from memcore.backend import Draw


def draws(draw: Draw, names: list[str]) -> dict[str, Any]:
    return {name: np.asarray(draw.child("part").normal(name, (3,))) for name in names}


def test_a_new_name_does_not_reshuffle(backend: Backend) -> None:
    key: Any = 0
    if backend.name == "jax":
        import jax

        key = jax.random.key(0)
    before = draws(memcore.as_draw(key), ["a", "c"])
    after = draws(memcore.as_draw(key), ["b", "c", "a"])
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    assert len({x.tobytes() for x in after.values()}) == 3


@pytest.mark.parametrize("key", ["a", None, 1.5, True, -1, np.zeros(2, np.uint32)])
def test_keys_that_are_none(key: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"^key is "):
        memcore.GRU(3).init(key)


@pytest.mark.backend("jax")
def test_a_model_is_a_static_argument(backend: Backend) -> None:
    import jax

    traces = []

    def run(model: memcore.Model, params: Any, xs: Any) -> Any:
        traces.append(model)
        return model.apply(params, xs)[1]

    compiled = jax.jit(run, static_argnums=0)
    xs = backend.asarray(np.ones((2, 5, 3), np.float32))
    for _ in range(2):  # equal models are one model
        compiled(memcore.GRU(3, hidden_size=4), memcore.GRU(3, hidden_size=4).init(0), xs)
    assert len(traces) == 1
    compiled(memcore.GRU(3, hidden_size=5), memcore.GRU(3, hidden_size=5).init(0), xs)
    assert len(traces) == 2
