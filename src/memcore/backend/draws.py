"""Random draws by name: adding a parameter does not reshuffle the others."""

from __future__ import annotations

import zlib
from typing import Any

import array_api_compat
import numpy as np

from memcore.backend.namespace import is_jax


class Draw:
    """Named random draws of one dtype. ``key`` becomes one through `as_draw`."""

    dtype: Any

    def child(self, name: str) -> Draw:
        """The draws of a part called ``name``, independent of all others."""
        raise NotImplementedError

    def normal(self, name: str, shape: tuple[int, ...], scale: float = 1.0) -> Any:
        """Normal numbers of standard deviation ``scale``."""
        raise NotImplementedError

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
    ) -> Any:
        """Uniform numbers of ``[low, high)``."""
        raise NotImplementedError

    def full(self, shape: tuple[int, ...], value: float) -> Any:
        """A constant."""
        raise NotImplementedError

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """Zeros."""
        return self.full(shape, 0.0)

    def ones(self, shape: tuple[int, ...]) -> Any:
        """Ones."""
        return self.full(shape, 1.0)


def _fold(name: str) -> int:
    return zlib.crc32(name.encode())


class NumpyDraw(Draw):
    """Draws from a seed, as NumPy arrays; the path of names is part of the seed."""

    def __init__(self, seeds: tuple[int, ...], dtype: Any) -> None:
        self.seeds, self.dtype = seeds, np.dtype(dtype)

    def _generator(self, name: str) -> np.random.Generator:
        return np.random.default_rng([*self.seeds, _fold(name)])

    def child(self, name: str) -> NumpyDraw:
        return NumpyDraw((*self.seeds, _fold(name)), self.dtype)

    def normal(self, name: str, shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
        return (scale * self._generator(name).standard_normal(shape)).astype(self.dtype)

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
    ) -> np.ndarray:
        return self._generator(name).uniform(low, high, shape).astype(self.dtype)

    def full(self, shape: tuple[int, ...], value: float) -> np.ndarray:
        return np.full(shape, value, self.dtype)


class JaxDraw(Draw):
    """Draws from a ``jax.random.key`` (or a legacy uint32 one); names are folded into it."""

    def __init__(self, key: Any, dtype: Any) -> None:
        import jax

        self.key, self.dtype, self._random = key, dtype, jax.random

    def _key(self, name: str) -> Any:
        return self._random.fold_in(self.key, np.uint32(_fold(name)))

    def child(self, name: str) -> JaxDraw:
        return JaxDraw(self._key(name), self.dtype)

    def normal(self, name: str, shape: tuple[int, ...], scale: float = 1.0) -> Any:
        return scale * self._random.normal(self._key(name), shape, self.dtype)

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0
    ) -> Any:
        return self._random.uniform(self._key(name), shape, self.dtype, low, high)

    def full(self, shape: tuple[int, ...], value: float) -> Any:
        import jax.numpy as jnp

        return jnp.full(shape, value, self.dtype)


def as_key(key: Any, arrays: Any) -> Any:
    """``key`` in a form that may pass into ``jax.jit`` if the arrays are JAX's: then a JAX key."""
    if not is_jax(arrays) or is_jax(key):
        return key.key if isinstance(key, JaxDraw) else key
    draw = as_draw(key)
    if isinstance(draw, JaxDraw):
        return draw.key
    import jax

    seeds = np.random.SeedSequence(getattr(draw, "seeds", 0)).generate_state(1)
    return jax.random.key(int(seeds[0]))


def as_draw(key: Any, dtype: Any = "float32") -> Draw:
    """Named draws from a ``jax.random.key``, a ``numpy.random.Generator`` or an int seed.

    A `Draw` is handed through, so a model may give its parts ``draw.child(name)`` for a key.

    Raises:
        TypeError: ``key`` is none of these, or ``dtype`` not a floating point one.
        ValueError: a negative seed.
    """
    if str(np.dtype(dtype) if isinstance(dtype, type) else dtype).startswith(
        ("int", "uint", "bool")
    ):
        raise TypeError(f"dtype is {dtype}, expected a floating point dtype")
    if isinstance(key, Draw):
        return key
    if isinstance(key, np.random.Generator):
        return NumpyDraw((int(key.integers(2**63)),), dtype)
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if key < 0:
            raise ValueError(f"key is the seed {key}, expected one that is not negative")
        return NumpyDraw((int(key),), dtype)
    if array_api_compat.is_jax_array(key):
        return JaxDraw(key, dtype)
    raise TypeError(
        f"key is a {type(key).__name__}, expected a jax.random.key, a numpy.random.Generator or an "
        "int seed"
    )
