"""A cell of another framework, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from memcore.convert import from_weights


def check(
    source: str, weights: Any, step: Callable[[Any, Any], Any], carry: Any, **how: Any
) -> None:
    """What is converted gives what the cell gives; ``step(carry, x) -> (carry, y)``."""
    model, params = from_weights(source, weights, **how)
    xs = np.random.default_rng(0).normal(size=(17, model.in_features)).astype("float32")
    _, ys = model.apply(params, xs)
    assert ys.dtype == np.float32
    for x, y in zip(xs, ys, strict=True):
        carry, want = step(carry, x)
        np.testing.assert_allclose(y, np.asarray(want), rtol=0, atol=1e-5)
