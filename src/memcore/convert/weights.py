"""The weights that a conversion reads: arrays by the names of the library they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from os import PathLike
from typing import Any

import array_api_compat
import numpy as np

from memcore.backend import to_numpy
from memcore.engine.checks import as_array
from memcore.types import Array, Dtype, Tree

Path = tuple[str, ...]
"""The names on the way to an array."""
Take = Callable[["Weights"], np.ndarray]
"""What makes one of memcore's parameters of another library's weights."""


class Weights:
    """Arrays by name, of which it is known which were ``read``, one after the other.

    Args:
        source: the class that the weights are of, for messages.
        arrays: by that library's names.
    """

    def __init__(self, source: str, arrays: Mapping[str, np.ndarray]) -> None:
        self.source = source
        self._arrays = dict(arrays)
        self.read: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __getitem__(self, name: str) -> np.ndarray:
        self.read.append(name)
        return self._find(name)

    def shape(self, name: str, rank: int = 2) -> tuple[int, ...]:
        """The shape of an array of ``rank`` axes, none of them empty."""
        found = self._find(name).shape
        if len(found) != rank or 0 in found:
            raise ValueError(
                f"weights[{name!r}] has shape {found}, expected {rank} axes for {self.source}"
                + ", none of length 0" * (0 in found)
            )
        return found

    def exactly(self, name: str, *shape: int) -> np.ndarray:
        """The array, which must have this shape."""
        found = self[name]
        if found.shape != shape:
            raise ValueError(
                f"weights[{name!r}] has shape {found.shape}, expected {shape} for {self.source}"
            )
        return found

    def dtype(self) -> Dtype:
        """That of the first array; float32 where there is none."""
        found = next(iter(self._arrays.values()), None)
        return np.dtype("float32") if found is None else found.dtype

    def ignore(self, *names: str) -> None:
        """Arrays that the class holds and does not use."""
        self.read.extend(names)

    def finish(self) -> None:
        """Raise for what nobody has read."""
        left = [name for name in self._arrays if name not in self.read]
        if left:
            raise ValueError(
                f"weights has {left[0]!r}, which is left over: {self.source} has no place for it here"
            )

    def _find(self, name: str) -> np.ndarray:
        if name not in self._arrays:
            raise ValueError(
                f"weights lacks {name!r} of {self.source}; it has {sorted(self._arrays)}"
            )
        return self._arrays[name]


def same(name: str) -> Take:
    """The array itself."""
    return lambda w: w[name]


def turned(name: str) -> Take:
    """Its transpose: a matrix that was multiplied from the left."""

    def take(w: Weights) -> np.ndarray:
        w.shape(name)
        return w[name].T

    return take


def reshaped(name: str, given: tuple[int, ...], *shape: int) -> Take:
    """An array of the shape ``given``, in another one."""
    return lambda w: np.reshape(w.exactly(name, *given), shape)


def minus(take: Take) -> Take:
    """With the other sign."""
    return lambda w: -take(w)


def beside(*takes: Take) -> Take:
    """Side by side along the last axis: gates of one kernel, all of one shape."""

    def put(w: Weights) -> np.ndarray:
        before = len(w.read)
        parts = [take(w) for take in takes]
        shapes = [part.shape for part in parts]
        if len(set(shapes)) > 1 or shapes[0] == ():
            raise ValueError(
                f"weights{w.read[before:]} make gates of the shapes {shapes}, expected one for all of "
                f"{w.source}"
            )
        return np.concatenate(parts, axis=-1)

    return put


def zeros(*shape: int) -> Take:
    """A bias that the other library does not have."""
    return lambda w: np.zeros(shape, w.dtype())


def ones(*shape: int) -> Take:
    """A scale that the other library does not have."""
    return lambda w: np.ones(shape, w.dtype())


def identity(size: int) -> Take:
    """A projection that the other library does not have."""
    return lambda w: np.eye(size, dtype=w.dtype())


def bias(w: Weights, name: str, size: int) -> Take:
    """The bias of that name, or zeros for a layer that was made without any."""
    there = any(other.startswith("bias") for other in w)
    return (lambda w: w.exactly(name, size)) if there else zeros(size)


def interleaved(take: Take, heads: int) -> Take:
    """Columns of rotary heads whose pairs are ``(2j, 2j + 1)``, put so that they are ``(j, j + K/2)``."""

    def put(w: Weights) -> np.ndarray:
        x = take(w)
        size = x.shape[-1] // heads
        order = [*range(0, size, 2), *range(1, size, 2)]
        return x.reshape(*x.shape[:-1], heads, size)[..., order].reshape(x.shape)

    return put


def flattened(weights: Tree, between: str) -> dict[str, np.ndarray]:
    """Arrays by name, from a flat mapping, a nested one or a module.

    Args:
        weights: a mapping of arrays; a mapping of such mappings; a torch module; anything else that is a
            tree to JAX: an Equinox module, one of NNX, a Flax state.
        between: what joins the names on the way to an array, ``"."`` or ``"/"``.

    Returns:
        Copies, in this machine's order of bytes: what becomes of the module later does not reach them.

    Raises:
        TypeError: ``weights`` is none of these, or a leaf is masked or holds no floating point numbers.
    """
    other = weights is None or isinstance(weights, str | bytes | type | PathLike)
    if other or array_api_compat.is_array_api_obj(weights):
        raise TypeError(
            f"weights is {weights!r:.60}, expected arrays by name, or a module; a file is read first, "
            "as by safetensors.numpy.load_file"
        )
    if callable(getattr(weights, "state_dict", None)):
        weights = weights.state_dict()
    if not isinstance(weights, Mapping):
        from memcore.convert._jax import leaves

        return {between.join(path): _array(path, leaf) for path, leaf in leaves(weights)}
    return {between.join(path): _array(path, leaf) for path, leaf in _walk(weights, ())}


def _walk(tree: Mapping[Any, Any], path: Path) -> Iterator[tuple[Path, Array]]:
    for key, value in tree.items():
        here = (*path, *(map(str, key) if isinstance(key, tuple) else (str(key),)))
        if isinstance(value, Mapping):
            yield from _walk(value, here)
        elif value is not None:
            yield here, value


def _array(path: Path, leaf: Array) -> np.ndarray:
    if hasattr(leaf, "detach"):  # torch, whose bfloat16 NumPy does not have
        leaf = leaf.detach().cpu()
        leaf = (leaf.float() if "bfloat16" in str(leaf.dtype) else leaf).numpy()
    if hasattr(leaf, "get_value"):  # a variable of NNX
        leaf = leaf.get_value()
    name = f"weights[{'.'.join(path)!r}]"
    array = to_numpy(as_array(leaf, name))
    if array.dtype.kind not in "fc" and "float" not in array.dtype.name:
        raise TypeError(f"{name} is {leaf!r:.60}, expected an array of floating point numbers")
    return np.array(array)
