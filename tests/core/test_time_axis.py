"""Time on another axis: the same numbers, moved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend

RNG = np.random.default_rng(0)
MODELS = {
    "vectors": (memcore.GRU(3, hidden_size=4), RNG.normal(size=(2, 3, 5, 3)).astype("float32")),
    "lru": (memcore.LRU(3, state_size=4), RNG.normal(size=(2, 3, 5, 3)).astype("float32")),
    "tokens": (
        memcore.ResidualStack(7, model=memcore.GRU(4), layers=1, tokens=True),
        RNG.integers(0, 7, (2, 3, 5)).astype("int32"),
    ),
}


def moved(x: np.ndarray, axis: int) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(x, 2, axis))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_same_run(name: str, axis: int, backend: Backend) -> None:
    model, xs = MODELS[name]
    params = backend.asarray(model.init(0))
    starts, valid = RNG.random((2, 3, 5)) < 0.3, RNG.random((2, 3, 5)) < 0.8
    flags = backend.asarray({"starts": starts, "valid": valid})
    state, ys, states = memcore.scan(
        model, params, backend.asarray(xs), **flags, return_states=True, method="sequential"
    )
    flags = backend.asarray({"starts": moved(starts, axis), "valid": moved(valid, axis)})
    run: dict[str, Any] = {**flags, "time_axis": axis}
    after, got, on_the_way = memcore.scan(
        model,
        params,
        backend.asarray(moved(xs, axis)),
        None,
        **run,
        return_states=True,
        method="sequential",
    )
    other, again = model.apply(params, backend.asarray(moved(xs, axis)), **run, method="sequential")
    want = moved(backend.to_numpy(ys), axis)
    for y in (got, again):
        np.testing.assert_allclose(backend.to_numpy(y), want, rtol=1e-5, atol=1e-6)
    pairs = [(after, state), (other, state), (on_the_way, states)]
    for a, b in pairs:
        for x, y in zip(*(memcore.backend.tree_leaves(t) for t in (a, b)), strict=True):
            np.testing.assert_allclose(
                backend.to_numpy(x), backend.to_numpy(y), rtol=1e-5, atol=1e-6
            )


def test_what_does_not_fit() -> None:
    model, xs = MODELS["vectors"]
    params = model.init(0)
    for axis in (3, -1, True, "time"):
        with pytest.raises(
            ValueError, match=rf"time_axis is {axis!r}, expected 0 to 2 for xs of shape"
        ):
            model.apply(params, xs, time_axis=axis)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"starts has shape \(3,\), expected \(2, 3, 5\) as xs"):
        model.apply(params, xs, starts=np.zeros(3, bool), time_axis=0)
    # Flags in the wrong order of axes are named.
    with pytest.raises(ValueError, match=r"starts has shape"):
        model.apply(params, xs, starts=np.zeros((2, 5, 3), bool), time_axis=0)
