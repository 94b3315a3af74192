"""A bandit that changes with every episode: learning to learn."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.fields import count
from memcore.rl.environments.base import Environment, State, one_hot
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array


@dataclass(frozen=True)
class Bandit(Environment):
    """Each of ``arms`` pays 1 / pulls with a chance of its own, drawn anew for every episode of ``pulls``.

    Observation: the last action, one-hot, its reward (0 or 1) and a flag at the first step. Who always
    pulls the best arm gets arms / (arms + 1) on average, the upper bound in `best_return`; who pulls at
    random 0.5. Sources: RL2 (Duan et al., arXiv:1611.02779), Wang et al. (arXiv:1611.05763).
    """

    arms: int = count(2, least=2)
    pulls: int = count(50)

    @property
    def observation_size(self) -> int:
        return self.arms + 2

    @property
    def actions(self) -> int:
        return self.arms

    @property
    def best_return(self) -> float:
        return self.arms / (self.arms + 1)

    def begin(self, numbers: Numbers) -> State:
        chances = numbers.uniform(self.arms)
        xp = namespace(chances)
        time = xp.zeros(chances.shape[:-1], dtype=xp.int32)
        return {"time": time, "chances": chances, "action": time - 1, "paid": chances[..., 0] * 0.0}

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        action, time = xp.astype(action, xp.int32), episode["time"] + 1
        chance = xp.sum(episode["chances"] * one_hot(action, self.arms), axis=-1)
        paid = xp.astype(numbers.uniform() < chance, xp.float32)
        episode = {**episode, "time": time, "action": action, "paid": paid}
        return episode, paid / self.pulls, time >= self.pulls

    def observe(self, episode: State) -> Array:
        xp = namespace(episode["paid"])
        first = xp.astype(episode["time"] == 0, xp.float32)
        told = xp.stack([episode["paid"], first], axis=-1)
        return xp.concat([one_hot(episode["action"], self.arms), told], axis=-1)
