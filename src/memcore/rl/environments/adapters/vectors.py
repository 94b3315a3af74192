"""What the environments of other packages share with ours."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from memcore.types import Array, State, Value


class Simulator(Protocol):
    """What an agent needs of an environment: `Environment`, and those of other packages."""

    @property
    def observation_size(self) -> int:
        """Width of an observation."""

    @property
    def actions(self) -> int:
        """Number of actions."""

    @property
    def best_return(self) -> float:
        """The best expected return; NaN where it is not known."""

    def reset(self, seeds: Array) -> tuple[State, Array]:
        """``(state, observation)`` of ``seeds (...)``."""

    def step(self, state: State, action: Array) -> tuple[State, Array, Array, Array]:
        """``(state, observation, reward, done)``."""


def missing(package: str, error: ImportError) -> ImportError:
    """The error for a package that is not there, or lacks one of its own (gymnax 1.0.1 needs six)."""
    packages = "gymnax six" if package == "gymnax" else package
    return ImportError(f"{package} cannot be imported ({error}): pip install {packages}")


def size(space: Value) -> int:
    """Width of a space's observations as one vector: numbers, and one-hot for choices."""
    name = type(space).__name__
    if name == "Discrete":
        return int(space.n)
    if name == "MultiDiscrete":
        return int(np.sum(space.nvec))
    if name == "MultiBinary" or name == "Box":
        return int(np.prod(space.shape, dtype=int))
    parts = space.spaces.values() if hasattr(space.spaces, "values") else space.spaces
    return sum(size(part) for part in parts)


def vector(space: Value, x: Value) -> np.ndarray:
    """One observation as float32 ``(size(space),)``."""
    name = type(space).__name__
    if name == "Discrete":
        return np.eye(int(space.n), dtype=np.float32)[int(x) - int(getattr(space, "start", 0))]
    if name == "MultiDiscrete":
        pairs = zip(np.ravel(space.nvec), np.ravel(x), strict=True)
        return np.concatenate([np.eye(int(n), dtype=np.float32)[int(i)] for n, i in pairs])
    if name == "MultiBinary" or name == "Box":
        return np.ravel(np.asarray(x, dtype=np.float32))
    names = space.spaces if hasattr(space.spaces, "values") else range(len(space.spaces))
    return np.concatenate([vector(space.spaces[name], x[name]) for name in names])
