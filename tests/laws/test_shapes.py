"""Whole layers of other widths against their references, in every method."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.models import SHAPES
from conftest import Backend
from memcore.engine.checks import runnable


def close(got: Any, want: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got), want, rtol=0, atol=tolerance)


@pytest.mark.backend("numpy", "array_api_strict")
@pytest.mark.parametrize("name", SHAPES)
def test_reference(name: str, backend: Backend) -> None:
    model, reference = SHAPES[name].model, SHAPES[name].reference
    rng = np.random.default_rng(0)
    params = optree.tree_map(
        lambda p: p + 0.1 * rng.standard_normal(p.shape), model.init(0, "float64")
    )
    xs, starts = rng.standard_normal((2, 19, model.in_features)), rng.random((2, 19)) < 0.2
    for method in (*runnable(model, params), "auto"):
        how = {"starts": backend.asarray(starts), "method": method, "chunk_size": 7}
        _, ys = model.apply(*backend.asarray((params, xs)), **how)
        for i in range(2):
            close(np.asarray(ys)[i], reference(params, xs[i], starts[i]), 1e-9)
