"""gymnax and XLand-MiniGrid: environments of JAX, one at a time, made into batches by `vmap`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from memcore.rl.environments.adapters.vectors import missing
from memcore.types import Array, State


class JaxEnvironment(ABC):
    """An environment of JAX under the interface of ours: batches, and a key in the state."""

    observation_size: int
    actions: int
    best_return: float = math.nan

    @abstractmethod
    def begin(self, key: Array) -> tuple[State, Array]:
        """``(state, observation)`` of one environment."""

    @abstractmethod
    def advance(self, key: Array, state: State, action: Array) -> tuple[State, Array, Array, Array]:
        """``(state, observation, reward, done)`` of one; a done one has begun anew."""

    def reset(self, seeds: Array) -> tuple[State, Array]:
        """``(state, observation)`` of ``seeds (...)`` ints."""

        def one(seed: Array) -> tuple[State, Array]:
            key, first = jax.random.split(jax.random.key(seed))
            state, seen = self.begin(first)
            return {"key": key, "state": state}, _vector(seen)

        return _batched(one, jnp.ndim(seeds))(jnp.asarray(seeds))

    def step(self, state: State, action: Array) -> tuple[State, Array, Array, Array]:
        """``(state, observation, reward, done)`` after ``action (...)`` ints."""

        def one(state: State, action: Array) -> tuple[State, Array, Array, Array]:
            key, now = jax.random.split(state["key"])
            inner, seen, reward, done = self.advance(now, state["state"], action)
            reward, done = jnp.asarray(reward, jnp.float32), jnp.asarray(done, bool)
            return {"key": key, "state": inner}, _vector(seen), reward, done

        return _batched(one, jnp.ndim(action))(state, jnp.asarray(action))


class Gymnax(JaxEnvironment):
    """``Gymnax("MemoryChain-bsuite")``: an environment of gymnax 1.0 with its default parameters."""

    def __init__(self, name: str) -> None:
        try:
            import gymnax
        except ImportError as error:
            raise missing("gymnax", error) from error
        if name not in gymnax.registered_envs:
            known = ", ".join(gymnax.registered_envs)
            raise ValueError(f"gymnax has no {name!r}, expected one of {known}")
        self._env, self._params = gymnax.make(name)
        space = self._env.observation_space(self._params)
        self.observation_size = int(np.prod(space.shape, dtype=int))
        self.actions = int(self._env.num_actions)

    def begin(self, key: Array) -> tuple[State, Array]:
        seen, state = self._env.reset(key, self._params)
        return state, seen

    def advance(self, key: Array, state: State, action: Array) -> tuple[State, Array, Array, Array]:
        seen, state, reward, ended, cut, _ = self._env.step(key, state, action, self._params)
        return state, seen, reward, ended | cut


class XMiniGrid(JaxEnvironment):
    """``XMiniGrid("MiniGrid-MemoryS8")``: an environment of XLand-MiniGrid; the small view as one vector."""

    def __init__(self, name: str) -> None:
        try:
            import xminigrid
        except ImportError as error:
            raise missing("xminigrid", error) from error
        if name not in xminigrid.registered_environments():
            known = ", ".join(xminigrid.registered_environments())
            raise ValueError(f"xminigrid has no {name!r}, expected one of {known}")
        self._env, self._params = xminigrid.make(name)
        shape = self._env.observation_shape(self._params)
        self.observation_size = int(np.prod(shape, dtype=int))
        self.actions = int(self._env.num_actions(self._params))

    def begin(self, key: Array) -> tuple[State, Array]:
        step = self._env.reset(self._params, key)
        return step, step.observation

    def advance(self, key: Array, state: State, action: Array) -> tuple[State, Array, Array, Array]:
        after = self._env.step(self._params, state, action)
        reward, done = after.reward, after.last()
        again = self._env.reset(self._params, key)
        after = jax.tree.map(lambda new, old: jnp.where(done, new, old), again, after)
        return after, after.observation, reward, done


def _vector(x: Array) -> Array:
    return jnp.reshape(jnp.asarray(x, jnp.float32), (-1,))


def _batched(function: Any, axes: int) -> Any:
    for _ in range(axes):
        function = jax.vmap(function)

    def run(*arguments: Any) -> Any:
        # Their code mixes dtypes, whatever the caller's setting.
        with jax.numpy_dtype_promotion("standard"):
            return function(*arguments)

    return run
