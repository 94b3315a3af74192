"""What every environment shares: seeds, the end of an episode and the beginning of the next one."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from memcore.backend import is_integer, known, namespace, plain, tree_flatten, tree_map, tree_paths
from memcore.fields import check_fields
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array, Tree

State: TypeAlias = dict[str, Tree]
"""Arrays with the batch axes in front, in nested dicts."""


@dataclass(frozen=True)
class Environment(ABC):
    """A partially observed decision process with discrete actions.

    A subclass says how an episode begins, what a step does and what is seen of it; all in arrays with the
    batch axes in front, for many environments at once.
    """

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    @abstractmethod
    def observation_size(self) -> int:
        """Width of an observation."""

    @property
    @abstractmethod
    def actions(self) -> int:
        """Number of actions: 0 to ``actions - 1``."""

    @property
    def best_return(self) -> float:
        """The expected return of an episode under the best policy; 1 where rewards are scaled so."""
        return 1.0

    @abstractmethod
    def begin(self, numbers: Numbers) -> State:
        """A new episode: leaves ``(..., *leaf)``."""

    @abstractmethod
    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        """``(episode, reward (...) float32, done (...) bool)`` after ``action (...)``."""

    @abstractmethod
    def observe(self, episode: State) -> Array:
        """``(..., observation_size)`` float32."""

    def reset(self, seeds: Array) -> tuple[State, Array]:
        """Begin in every environment of the batch.

        Args:
            seeds: ``(...)`` ints, 0 to 2**32 - 1; another seed is another environment.

        Returns:
            ``(state, observation)`` with ``observation (..., observation_size)`` float32.
        """
        seeds = _whole("seeds", seeds, 2**32)
        xp = namespace(seeds)
        seed = xp.astype(seeds, xp.uint32)
        numbers = Numbers(seed, xp.zeros_like(seed))
        episode = self.begin(numbers)
        state = {"seed": seed, "count": numbers.count, "episode": episode}
        return state, self.observe(episode)

    def step(self, state: State, action: Array) -> tuple[State, Array, Array, Array]:
        """Act once in every environment of the batch.

        Args:
            state: from `reset` or the step before.
            action: ``(...)`` ints.

        Returns:
            ``(state, observation, reward, done)``: float32 ``(..., observation_size)`` and ``(...)``, bool
            ``(...)``. Where ``done``, the observation is the first of the next episode.
        """
        _check_state(self, state)
        action = _whole("action", action, self.actions)
        shape, wanted = tuple(action.shape), tuple(state["seed"].shape)
        if shape != wanted:
            raise ValueError(f"action has shape {shape}, expected {wanted}")
        numbers = Numbers(state["seed"], state["count"])
        episode, reward, done = self.advance(state["episode"], action, numbers)
        episode = tree_map(
            lambda new, old: where_rows(done, new, old), self.begin(numbers), episode
        )
        state = {"seed": state["seed"], "count": numbers.count, "episode": episode}
        return state, self.observe(episode), reward, done


def one_hot(index: Array, size: int) -> Array:
    """float32 ``(..., size)`` of ints ``(...)``; all zeros where the index is -1."""
    xp = namespace(index)
    return xp.astype(index[..., None] == xp.arange(size, dtype=index.dtype), xp.float32)


def choose(condition: Array, yes: float, no: float) -> Array:
    """float32 ``(...)``: one number where the condition holds, the other elsewhere."""
    xp = namespace(condition)
    return xp.where(condition, xp.asarray(yes, dtype=xp.float32), xp.asarray(no, dtype=xp.float32))


def _whole(name: str, x: Array, bound: int) -> Array:
    x = plain(name, x, "integers")
    if not is_integer(x):
        raise TypeError(f"{name} has dtype {x.dtype}, expected integers")
    values = known(x)
    if values is not None and values.size:
        if values.min() < 0:
            raise ValueError(f"{name} has the value {values.min()}, expected none below 0")
        if values.max() >= bound:
            raise ValueError(f"{name} has the value {values.max()}, expected below {bound}")
    return x


@functools.lru_cache(maxsize=64)
def _example(environment: Environment) -> State:
    """A state of one environment, without batch axes."""
    return environment.reset(np.zeros((), np.uint32))[0]


def _check_state(environment: Environment, state: State) -> None:
    """Raise ValueError for a state of another environment."""
    example = _example(environment)
    leaves, structure = tree_flatten(state)
    wanted, expected = tree_flatten(example)
    if structure != expected:
        raise ValueError(f"state has the structure {structure}, expected {expected}")
    batch = leaves[0].ndim - wanted[0].ndim
    for (name, want), leaf in zip(tree_paths(example), leaves, strict=True):
        if tuple(leaf.shape[batch:]) != want.shape:
            shape = ", ".join(["...", *map(str, want.shape)])
            raise ValueError(f"state/{name} has shape {tuple(leaf.shape)}, expected ({shape})")


def where_rows(done: Array, new: Array, old: Array) -> Array:
    """``new`` in the rows of the batch that are done ``(...)``, ``old`` in the others."""
    xp = namespace(new)
    return xp.where(done[(..., *(None,) * (new.ndim - done.ndim))], new, old)
