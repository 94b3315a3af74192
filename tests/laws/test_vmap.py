"""A batch under `jax.vmap` is a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from cases.checks import close
from cases.models import MODELS, ONE_PER_RULE
from conftest import Backend


@pytest.mark.backend("jax")
@pytest.mark.parametrize("name", [*ONE_PER_RULE, "lstm", "mgu", "slstm", "n_max"])
def test_numbers_and_gradients_under_vmap(name: str, backend: Backend) -> None:
    """Of what is compiled already, of as many sequences as steps: a derivative whose batch lay on another
    axis than the numbers' would have the right shape."""
    import jax
    import jax.numpy as jnp

    model, size, rng = MODELS[name], 5, np.random.default_rng(0)
    params = backend.asarray(model.init(0))
    xs = backend.asarray(rng.standard_normal((size, size, model.in_features)).astype(np.float32))

    def run(params: Any, xs: Any) -> Any:
        return model.apply(params, xs)[1]

    weights = backend.asarray(rng.standard_normal(run(params, xs).shape).astype(np.float32))

    def loss(run: Any) -> Any:
        value = jax.value_and_grad(lambda p, x: jnp.sum(weights * run(p, x)), (0, 1))
        return jax.jit(value)(params, xs)

    close(loss(jax.vmap(run, (None, 0))), loss(run), 1e-4)
