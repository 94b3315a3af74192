"""Random draws by name: adding a parameter does not reshuffle the others."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import array_api_compat
import numpy as np

from memcore.backend.namespace import floating_dtype, is_jax
from memcore.types import Array, Dtype, Key, Tree, Value


class TooManyNumbers(ValueError):
    """More was drawn than `at_most` allows."""


DRAW_COST = 64
"""What a draw, or a part's own draws, counts beside its numbers: their time is about that of as many."""

_left: ContextVar[list[int] | None] = ContextVar("_left", default=None)


@contextmanager
def at_most(numbers: int) -> Iterator[None]:
    """Inside, `NumpyDraw` raises `TooManyNumbers`, before it draws, where all would be more than that."""
    token = _left.set([numbers])
    try:
        yield
    finally:
        _left.reset(token)


def _count(shape: tuple[int, ...]) -> None:
    left = _left.get()
    if left is not None:
        left[0] -= DRAW_COST + math.prod(map(int, shape))
        if left[0] < 0:
            raise TooManyNumbers(f"a draw of shape {shape} is more than what is left")


class Draw:
    """Named random draws of one dtype. ``key`` becomes one through `as_draw`.

    ``label`` says what the parameter is, for `memcore.Model.labels`; it changes nothing in the numbers.
    """

    dtype: Dtype

    def child(self, name: str) -> Draw:
        """The draws of a part called ``name``, independent of all others."""
        raise NotImplementedError

    def at(self, index: Array) -> Draw:
        """The draws number ``index`` of a series, independent of all others."""
        raise NotImplementedError

    def normal(
        self, name: str, shape: tuple[int, ...], scale: float = 1.0, *, label: str | None = None
    ) -> Array:
        """Normal numbers of standard deviation ``scale``."""
        raise NotImplementedError

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0, *,
        label: str | None = None,
    ) -> Array:  # fmt: skip
        """Uniform numbers of ``[low, high)``."""
        raise NotImplementedError

    def full(self, shape: tuple[int, ...], value: float, *, label: str | None = None) -> Array:
        """A constant."""
        raise NotImplementedError

    def array(self, value: Value, *, label: str | None = None) -> Array:
        """Numbers that are given, in the library and dtype of the draws."""
        raise NotImplementedError

    def zeros(self, shape: tuple[int, ...], *, label: str | None = None) -> Array:
        """Zeros."""
        return self.full(shape, 0.0, label=label)

    def ones(self, shape: tuple[int, ...], *, label: str | None = None) -> Array:
        """Ones."""
        return self.full(shape, 1.0, label=label)


def _fold(name: str) -> int:
    return zlib.crc32(name.encode())


class NumpyDraw(Draw):
    """Draws from a seed, as NumPy arrays; the path of names is part of the seed."""

    def __init__(self, seeds: tuple[int, ...], dtype: Dtype) -> None:
        self.seeds, self.dtype = seeds, np.dtype(dtype)

    def _generator(self, name: str, shape: tuple[int, ...]) -> np.random.Generator:
        _count(shape)
        return np.random.default_rng([*self.seeds, _fold(name)])

    def child(self, name: str) -> NumpyDraw:
        _count(())
        return NumpyDraw((*self.seeds, _fold(name)), self.dtype)

    def at(self, index: Array) -> NumpyDraw:
        return NumpyDraw((*self.seeds, int(index)), self.dtype)

    def normal(
        self, name: str, shape: tuple[int, ...], scale: float = 1.0, *, label: str | None = None
    ) -> np.ndarray:
        return (scale * self._generator(name, shape).standard_normal(shape)).astype(self.dtype)

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0, *,
        label: str | None = None,
    ) -> np.ndarray:  # fmt: skip
        return self._generator(name, shape).uniform(low, high, shape).astype(self.dtype)

    def full(self, shape: tuple[int, ...], value: float, *, label: str | None = None) -> np.ndarray:
        _count(shape)
        return np.full(shape, value, self.dtype)

    def array(self, value: Value, *, label: str | None = None) -> np.ndarray:
        return np.array(value, self.dtype)


class Labelled(np.ndarray):
    """An array that remembers what the parameter is, through arithmetic."""

    label: str | None

    def __array_finalize__(self, source: Array) -> None:
        self.label = getattr(source, "label", None)


class LabelDraw(Draw):
    """Draws nothing: parameters have their shapes, one number everywhere, and their labels."""

    dtype = np.dtype("float32")

    def child(self, name: str) -> LabelDraw:
        _count(())
        return self

    def at(self, index: Array) -> LabelDraw:
        return self

    def full(self, shape: tuple[int, ...], value: float, *, label: str | None = None) -> Labelled:
        _count(shape)
        return self.array(np.broadcast_to(np.float32(value), shape), label=label)

    def array(self, value: Value, *, label: str | None = None) -> Labelled:
        array = np.asarray(value, np.float32).view(Labelled)
        array.label = label
        return array

    def normal(
        self, name: str, shape: tuple[int, ...], scale: float = 1.0, *, label: str | None = None
    ) -> Labelled:
        return self.full(shape, scale, label=label)

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0, *,
        label: str | None = None,
    ) -> Labelled:  # fmt: skip
        return self.full(shape, (low + high) / 2, label=label)


class JaxDraw(Draw):
    """Draws from a ``jax.random.key`` (or a legacy uint32 one); names are folded into it."""

    def __init__(self, key: Key, dtype: Dtype) -> None:
        import jax

        self.key, self.dtype, self._random = key, dtype, jax.random

    def _key(self, name: str) -> Key:
        return self._random.fold_in(self.key, np.uint32(_fold(name)))

    def child(self, name: str) -> JaxDraw:
        return JaxDraw(self._key(name), self.dtype)

    def at(self, index: Array) -> JaxDraw:
        return JaxDraw(self._random.fold_in(self.key, index), self.dtype)

    def normal(
        self, name: str, shape: tuple[int, ...], scale: float = 1.0, *, label: str | None = None
    ) -> Array:
        return scale * self._random.normal(self._key(name), shape, self.dtype)

    def uniform(
        self, name: str, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0, *,
        label: str | None = None,
    ) -> Array:  # fmt: skip
        return self._random.uniform(self._key(name), shape, self.dtype, low, high)

    def full(self, shape: tuple[int, ...], value: float, *, label: str | None = None) -> Array:
        import jax.numpy as jnp

        return jnp.full(shape, value, self.dtype)

    def array(self, value: Value, *, label: str | None = None) -> Array:
        import jax.numpy as jnp

        return jnp.asarray(value, self.dtype)


def as_key(key: Key, arrays: Tree) -> Key:
    """``key`` in a form that may pass into ``jax.jit`` if the arrays are JAX's: then a JAX key."""
    if not is_jax(arrays) or is_jax(key):
        return key.key if isinstance(key, JaxDraw) else key
    draw = as_draw(key)
    if isinstance(draw, JaxDraw):
        return draw.key
    import jax

    seeds = np.random.SeedSequence(getattr(draw, "seeds", 0)).generate_state(1)
    return jax.random.key(int(seeds[0]))


def as_draw(key: Key, dtype: Dtype = "float32") -> Draw:
    """Named draws from a ``jax.random.key``, a ``numpy.random.Generator`` or an int seed.

    A `Draw` is handed through, so a model may give its parts ``draw.child(name)`` for a key.

    Raises:
        TypeError: ``key`` is none of these, or ``dtype`` not a floating point one.
        ValueError: a negative seed.
    """
    dtype = floating_dtype("dtype", dtype)
    if isinstance(key, Draw):
        return key
    if isinstance(key, np.random.Generator):
        return NumpyDraw((int(key.integers(2**63)),), dtype)
    if isinstance(key, int | np.integer) and not isinstance(key, bool):
        if key < 0:
            raise ValueError(f"key is the seed {key}, expected one that is not negative")
        return NumpyDraw((int(key),), dtype)
    if array_api_compat.is_jax_array(key):
        _check_jax_key(key)
        return JaxDraw(key, dtype)
    raise TypeError(
        f"key is a {type(key).__name__}, expected a jax.random.key, a numpy.random.Generator or an "
        "int seed"
    )


def _check_jax_key(key: Key) -> None:
    import jax

    typed = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    # The legacy keys of threefry and of rbg.
    legacy = key.dtype == "uint32" and key.shape in ((2,), (4,))
    if not (legacy or (typed and key.shape == ())):
        raise TypeError(
            f"key is a JAX array of {key.dtype} and shape {key.shape}, expected one jax.random.key"
        )
