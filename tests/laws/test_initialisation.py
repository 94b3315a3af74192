"""Parameters: the seed decides, on every array library, and JAX may trace it."""

from __future__ import annotations

from typing import Any

import numpy as np
import optree
import pytest

from cases.models import CASES, MODELS
from conftest import Backend
from memcore.backend import tree_paths


@pytest.mark.parametrize("name", MODELS)
def test_the_seed_decides(name: str) -> None:
    model = MODELS[name]

    def leaves(key: Any) -> list[np.ndarray]:
        return optree.tree_leaves(model.init(key))

    for same in ((3, 3), (np.int64(3), 3), (np.random.default_rng(3), np.random.default_rng(3))):
        assert all(np.array_equal(a, b) for a, b in zip(*map(leaves, same), strict=True))
    # What is the same for every row of the first axis is given, not drawn: the A of an S6.
    given = [path in CASES[name].given for path, _ in tree_paths(model.init(3))]
    drawn = [
        np.ptp(a) > 0 and not fixed and not (a.ndim > 1 and np.all(a == a[:1]))
        for a, fixed in zip(leaves(3), given, strict=True)
    ]
    assert sum(given) == len(CASES[name].given)
    for a, b, random in zip(leaves(3), leaves(4), drawn, strict=True):
        assert not random or not np.array_equal(a, b)
    seen = [a.ravel()[:3].tobytes() for a, random in zip(leaves(3), drawn, strict=True) if random]
    assert len(set(seen)) == len(seen)  # no two parameters share their draws
    assert len({id(a) for a in leaves(3)}) == len(drawn)  # nor an array: JAX donates each but once
    assert all(a.dtype == np.float32 for a in leaves(3))
    assert all(a.dtype == np.float64 for a in optree.tree_leaves(model.init(3, "float64")))


@pytest.mark.backend("jax")
def test_init_on_jax(backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    key = jax.random.key(0)
    for model in MODELS.values():
        shapes, want = jax.eval_shape(model.init, key), model.init(0)
        assert optree.tree_structure(shapes) == optree.tree_structure(want)
        for a, b in zip(*map(optree.tree_leaves, (shapes, want)), strict=True):
            assert a.shape == b.shape and a.dtype == b.dtype == jnp.float32
    init = MODELS["gru"].init
    params, legacy = jax.jit(init)(key), init(jax.random.PRNGKey(0))
    many = jax.jit(jax.vmap(init))(jax.random.split(key, 3))
    for a, b, c in zip(*map(optree.tree_leaves, (params, legacy, many)), strict=True):
        assert isinstance(a, jax.Array) and c.shape == (3, *a.shape)
        np.testing.assert_allclose(a, b, rtol=1e-6)  # the same key, of the other kind
        assert not np.array_equal(c[0], c[1])
    half = jax.eval_shape(lambda k: MODELS["lru"].init(k, jnp.bfloat16), jax.random.key(0))
    assert all(x.dtype == jnp.bfloat16 for x in half.values())
