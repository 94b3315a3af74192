"""POPGym's environments (Morad et al., arXiv:2303.01859): objects of Python, one for each row."""

from __future__ import annotations

import math

import numpy as np

from memcore.rl.environments.adapters.vectors import missing, size, vector
from memcore.types import Array, State


class Popgym:
    """``Popgym("RepeatFirstEasy")``: for acting on NumPy; a loop over the rows, not for use under `jit`.

    The state is the simulators themselves: a step changes them, so an older state is none.

    Args:
        name: of a class of ``popgym.envs``.

    Raises:
        ImportError: popgym is not installed.
        ValueError: it has no environment of that name, or one whose actions are no choice among n.
    """

    def __init__(self, name: str) -> None:
        try:
            from popgym.envs import ALL
        except ImportError as error:
            raise missing("popgym", error) from error
        known = {cls.__name__: cls for cls in ALL}
        if name not in known:
            raise ValueError(f"popgym has no {name!r}, expected one of {', '.join(known)}")
        self._make, example = known[name], known[name]()
        if type(example.action_space).__name__ != "Discrete":
            raise ValueError(f"{name} has actions {example.action_space}, expected Discrete")
        self._space, self.actions = example.observation_space, int(example.action_space.n)
        self.observation_size, self.best_return = size(self._space), math.nan

    def reset(self, seeds: Array) -> tuple[State, np.ndarray]:
        """``(state, observation)`` of ``seeds (...)`` ints."""
        seeds = np.asarray(seeds)
        rows = [self._make() for _ in range(seeds.size)]
        pairs = zip(rows, seeds.ravel(), strict=True)
        seen = [vector(self._space, row.reset(seed=int(seed))[0]) for row, seed in pairs]
        return rows, np.reshape(np.stack(seen), (*seeds.shape, -1))

    def step(self, state: State, action: Array) -> tuple[State, np.ndarray, np.ndarray, np.ndarray]:
        """``(state, observation, reward, done)``; done rows begin anew in the same step."""
        action = np.asarray(action)
        seen, rewards, dones = [], [], []
        for row, choice in zip(state, action.ravel(), strict=True):
            observation, reward, terminated, truncated, _ = row.step(int(choice))
            if terminated or truncated:
                observation, _ = row.reset()
            seen.append(vector(self._space, observation))
            rewards.append(reward)
            dones.append(terminated or truncated)
        observations = np.reshape(np.stack(seen), (*action.shape, -1))
        reward = np.reshape(np.array(rewards, np.float32), action.shape)
        return state, observations, reward, np.reshape(np.array(dones, bool), action.shape)
