"""Weights of flax.linen and flax.nnx against Flax itself."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from convert.frameworks import check
from memcore.convert import SOURCES, from_weights

CELLS = ["SimpleCell", "GRUCell", "LSTMCell", "OptimizedLSTMCell"]


def test_every_source_is_here() -> None:
    known = {name for name, source in SOURCES.items() if name.startswith("flax.") and source.build}
    assert known == {f"flax.{room}.{kind}" for room in ("linen", "nnx") for kind in CELLS}


def drawn(tree: Any) -> Any:
    """As wide as they were, with biases that are not zero."""
    rng = np.random.default_rng(1)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape), "float32"), tree)


@pytest.mark.parametrize("kind", CELLS)
def test_linen(kind: str) -> None:
    cell = getattr(linen, kind)(features=4)
    carry = cell.initialize_carry(jax.random.key(0), (3,))
    variables = drawn(cell.init(jax.random.key(0), carry, jnp.zeros(3)))
    step = jax.jit(lambda carry, x: cell.apply(variables, carry, x))
    check(f"flax.linen.{kind}", variables, step, carry)
    check(f"flax.linen.{kind}", variables["params"], step, carry)


def test_linen_rnn() -> None:
    xs = jax.random.normal(jax.random.key(0), (2, 7, 3))
    network = linen.RNN(linen.GRUCell(features=4))
    variables = drawn(network.init(jax.random.key(0), xs))
    model, params = from_weights("flax.linen.GRUCell", variables)
    ys = model.apply(params, np.asarray(xs))[1]
    np.testing.assert_allclose(ys, network.apply(variables, xs), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", CELLS)
def test_nnx(kind: str) -> None:
    cell = getattr(nnx, kind)(3, 4, rngs=nnx.Rngs(0))
    nnx.update(cell, drawn(nnx.state(cell, nnx.Param)))
    carry = cell.initialize_carry((3,), nnx.Rngs(0))
    check(f"flax.nnx.{kind}", cell, cell, carry)
    check(f"flax.nnx.{kind}", nnx.state(cell), cell, carry)
    check(f"flax.nnx.{kind}", nnx.to_pure_dict(nnx.state(cell, nnx.Param)), cell, carry)


def test_other_activations_are_named() -> None:
    cell = nnx.GRUCell(3, 4, activation_fn=nnx.relu, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="weights.activation_fn is relu, expected tanh"):
        from_weights("flax.nnx.GRUCell", cell)


def test_a_residual_cell() -> None:
    cell = nnx.SimpleCell(3, 4, residual=True, rngs=nnx.Rngs(0))
    carry = cell.initialize_carry((3,), nnx.Rngs(0))
    check("flax.nnx.SimpleCell", cell, cell, carry)
    check("flax.nnx.SimpleCell", nnx.state(cell), cell, carry, residual=True)
