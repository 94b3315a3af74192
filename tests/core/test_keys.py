"""Keys and dtypes of parameters: what `init` takes, and what it refuses by name."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import optree
import pytest

import memcore
from conftest import Backend

GRU = memcore.GRU(3, hidden_size=2)
NO_FLOATS = [
    "i4", "int8", "uint8", "bool", "?", "complex64", "c8", complex, "object", object, "O", int, bool,
    "U3", "S2", "datetime64[s]", "f4,f4", "nonsense", "", None, 3, np.int32, np.dtype("u2"), [], {},
]  # fmt: skip


def dtypes(params: Any) -> set[str]:
    return {leaf.dtype.name for leaf in optree.tree_leaves(params)}


@pytest.mark.parametrize("dtype", NO_FLOATS, ids=repr)
def test_dtypes_that_are_not_floating(dtype: Any, backend: Backend) -> None:
    keys: list[Any] = [0, np.random.default_rng(0), memcore.as_draw(0)]
    if backend.name == "jax":
        import jax

        keys = [jax.random.key(0)]
    for key in keys:
        with pytest.raises(TypeError, match=r"^dtype is .*, expected a floating point dtype"):
            GRU.init(key, dtype)


@pytest.mark.parametrize("dtype", ["float16", "f4", "float64", np.float32, np.dtype("f8"), float])
def test_dtypes_that_are(dtype: Any) -> None:
    assert dtypes(GRU.init(0, dtype)) == {np.dtype(dtype).name}


@pytest.mark.backend("jax")
def test_bfloat16_on_numpy_and_jax(backend: Backend) -> None:
    import jax

    for dtype in ("bfloat16", jax.numpy.bfloat16, np.dtype(jax.numpy.bfloat16)):
        for key in (0, jax.random.key(0)):
            assert dtypes(GRU.init(key, dtype)) == {"bfloat16"}


def test_bfloat16_without_a_package_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(TypeError, match=r"^dtype is 'bfloat16', which NumPy has with the package"):
        GRU.init(0, "bfloat16")


@pytest.mark.parametrize(
    "key", ["0", None, 1.5, True, [0, 1], np.array([0, 1], "uint32"), np.random.RandomState(0)]
)
def test_keys_of_another_kind(key: Any) -> None:
    with pytest.raises(TypeError, match=r"^key is a .*, expected a jax\.random\.key, a numpy"):
        GRU.init(key)


@pytest.mark.backend("jax")
def test_jax_arrays_that_are_no_key(backend: Backend) -> None:
    import jax
    import jax.numpy as jnp

    keys = jax.random.split(jax.random.key(0), 3)
    wrong = [jnp.zeros(2), jnp.int32(3), jnp.zeros(3, "uint32"), keys, jnp.zeros((3, 2), "uint32")]
    for key in wrong:
        with pytest.raises(TypeError, match=r"^key is a JAX array of .*, expected one jax\.random"):
            GRU.init(key)
    with pytest.raises(
        TypeError, match=r"^key is a JAX array of float32 and shape \(2,\), expected"
    ):
        jax.jit(GRU.init)(jnp.zeros(2))


@pytest.mark.backend("jax")
def test_jax_keys_of_every_kind(backend: Backend) -> None:
    import jax

    for kind in ("threefry2x32", "rbg"):
        for key in (
            jax.random.key(0, impl=kind),
            jax.random.key_data(jax.random.key(0, impl=kind)),
        ):
            if kind == "threefry2x32" or jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
                assert dtypes(GRU.init(key)) == {"float32"}
    keys = jax.random.split(jax.random.key(0), 3)
    assert jax.vmap(GRU.init)(keys)["input"]["kernel"].shape == (3, 3, 6)
    assert jax.vmap(GRU.init)(jax.random.key_data(keys))["input"]["kernel"].shape == (3, 3, 6)
