"""Another environment seen through a random projection: what it shows must be learned in the episode."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from memcore.backend import namespace, tree_map
from memcore.fields import count
from memcore.rl.environments.base import Environment, State, one_hot, where_rows
from memcore.rl.environments.cart_pole import CartPole
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array


@dataclass(frozen=True)
class RandomProjection(Environment):
    """Tasks of ``episodes`` episodes, each with projections of observations and actions of its own.

    A task draws a matrix ``P (size, n)`` with entries of variance 1 / n and shows ``P o`` in place of the
    observation ``o (n)``, and draws which action of the agent means which of the environment's. Observation:
    ``P o``, the last action (one-hot), the last reward and a flag at the first step of an inner episode;
    ``done`` is the end of a task. A return is that of all its episodes, over ``episodes``. Source: Lu et al.,
    "Structured State Space Models for In-Context Reinforcement Learning" (arXiv:2303.03982), section 5.
    """

    environment: Environment = field(default=CartPole(length=50, velocities=True))
    size: int = count(8)
    episodes: int = count(8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.environment, Environment):
            raise TypeError(f"environment is {self.environment!r}, expected an Environment")

    @property
    def observation_size(self) -> int:
        return self.size + self.actions + 2

    @property
    def actions(self) -> int:
        return self.environment.actions

    @property
    def best_return(self) -> float:
        return self.environment.best_return

    def begin(self, numbers: Numbers) -> State:
        inner = self.environment.begin(numbers)
        width = self.environment.observation_size
        projection = numbers.normal(self.size, width) / math.sqrt(width)
        xp = namespace(projection)
        # The order of random numbers is a random order.
        order = xp.astype(xp.argsort(numbers.uniform(self.actions), axis=-1), xp.int32)
        nothing = xp.zeros(projection.shape[:-2], dtype=xp.int32)
        return {
            "inner": inner, "projection": projection, "order": order, "ended": nothing,
            "action": nothing - 1, "reward": xp.astype(nothing, xp.float32), "first": nothing == 0,
        }  # fmt: skip

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        action = xp.astype(action, xp.int32)
        meant = xp.take_along_axis(episode["order"], action[..., None], axis=-1)[..., 0]
        inner, reward, done = self.environment.advance(episode["inner"], meant, numbers)
        new = self.environment.begin(numbers)
        inner = tree_map(lambda a, b: where_rows(done, a, b), new, inner)
        ended = episode["ended"] + xp.astype(done, xp.int32)
        changed = {
            "inner": inner,
            "ended": ended,
            "action": action,
            "reward": reward,
            "first": done,
        }
        return {**episode, **changed}, reward / self.episodes, ended >= self.episodes

    def observe(self, episode: State) -> Array:
        seen = self.environment.observe(episode["inner"])
        xp = namespace(seen)
        shown = (episode["projection"] @ seen[..., None])[..., 0]
        told = xp.stack([episode["reward"], xp.astype(episode["first"], xp.float32)], axis=-1)
        return xp.concat([shown, one_hot(episode["action"], self.actions), told], axis=-1)
