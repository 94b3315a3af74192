"""Generalised advantages against a plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from conftest import Backend
from memcore.rl import agent, generalised_advantages


@pytest.mark.parametrize("trace", [0.0, 0.9, 1.0])
def test_a_plain_loop(trace: float, backend: Backend) -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(2, 3, 11)).astype("float32")
    dones, last = rng.random((3, 11)) < 0.3, rng.normal(size=3).astype("float32")
    arrays = backend.asarray((rewards, values, dones, last))
    got = backend.to_numpy(generalised_advantages(*arrays, discount=0.8, trace=trace))
    for row in range(3):
        advantage, after = 0.0, float(last[row])
        for t in reversed(range(11)):
            going = 0.0 if dones[row, t] else 1.0
            delta = rewards[row, t] + 0.8 * going * after - values[row, t]
            advantage = delta + 0.8 * trace * going * advantage
            after = float(values[row, t])
            np.testing.assert_allclose(got[row, t], advantage, rtol=1e-4, atol=1e-5)


def test_what_does_not_fit() -> None:
    x = np.zeros((3, 5), "float32")
    how = {"discount": 0.9, "trace": 0.9}
    with pytest.raises(ValueError, match=r"last has shape \(5,\), expected \(3,\) for rewards"):
        generalised_advantages(x, x, x, np.zeros(5, "float32"), **how)
    with pytest.raises(
        ValueError, match=r"dones has shape \(5, 3\), expected \(3, 5\) for rewards"
    ):
        generalised_advantages(x, x, x.T, x[:, 0], **how)
    with pytest.raises(ValueError, match="dones has the value 0.5, expected only 0 and 1"):
        generalised_advantages(x, x, x + 0.5, x[:, 0], **how)
    with pytest.raises(TypeError, match="rewards has dtype int64, expected floats"):
        generalised_advantages(x.astype("int64"), x, x, x[:, 0], **how)
    with pytest.raises(ValueError, match="framework is 'keras', expected one of core, equinox"):
        agent(None, "keras")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="model is None, expected a memcore.Model"):
        agent(None)  # type: ignore[arg-type]
    for name in ("discount", "trace"):
        for wrong in (1.5, -0.1, "0.9", None, True):
            with pytest.raises(ValueError, match=f"{name} is {wrong!r}, expected a number from 0"):
                generalised_advantages(x, x, x, x[:, 0], **{**how, name: wrong})
    with pytest.raises(TypeError, match="values is None, expected floats"):
        generalised_advantages(x, None, x, x[:, 0], **how)
    with pytest.raises(TypeError, match="last has dtype int64, expected floats"):
        generalised_advantages(x, x, x, [0, 0, 0], **how)


def test_lists() -> None:
    got = generalised_advantages([1.0, 0.0], [0.0, 0.0], [0, 0], 2.0, discount=0.5, trace=1.0)
    np.testing.assert_allclose(got, [1 + 0.25 * 2, 0.5 * 2])
