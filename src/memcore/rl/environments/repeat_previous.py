"""Say at every step the symbol that was shown some steps ago."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.fields import count
from memcore.rl.environments.base import Environment, State, choose, one_hot
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array


@dataclass(frozen=True)
class RepeatPrevious(Environment):
    """A symbol is shown at every step; the action is right if it names the one shown ``back`` steps before.

    Episodes last from half of ``length`` to ``length`` steps behind the first ``back``, where the action does
    not count. A right action is worth 1 / n, a wrong one -1 / n, with n the number of actions that count.
    Observation: the symbol, one-hot, and a flag at the first step. Source: POPGym (Morad et al.,
    arXiv:2303.01859), whose decks of cards and fixed length are independent symbols and random lengths here.
    """

    symbols: int = count(4, least=2)
    back: int = count(4)
    length: int = count(32, least=2)

    @property
    def observation_size(self) -> int:
        return self.symbols + 1

    @property
    def actions(self) -> int:
        return self.symbols

    def begin(self, numbers: Numbers) -> State:
        shown = numbers.integers(self.symbols)
        xp = namespace(shown)
        least = (self.length + 1) // 2
        counted = least + numbers.integers(self.length - least + 1)
        empty = xp.zeros((*shown.shape, self.back), dtype=xp.int32)
        rows = xp.concat([empty, shown[..., None]], axis=-1)  # the last back + 1 symbols
        return {"time": xp.zeros_like(shown), "counted": counted, "symbols": rows}

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        time, counted, rows = episode["time"], episode["counted"], episode["symbols"]
        right = xp.astype(action, xp.int32) == rows[..., 0]
        reward = choose(right, 1.0, -1.0) / xp.astype(counted, xp.float32)
        reward = xp.where(time >= self.back, reward, xp.zeros_like(reward))
        new = numbers.integers(self.symbols)[..., None]
        time = time + 1
        episode = {
            "time": time,
            "counted": counted,
            "symbols": xp.concat([rows[..., 1:], new], axis=-1),
        }
        return episode, reward, time >= counted + self.back

    def observe(self, episode: State) -> Array:
        xp = namespace(episode["time"])
        first = xp.astype(episode["time"] == 0, xp.float32)[..., None]
        return xp.concat([one_hot(episode["symbols"][..., -1], self.symbols), first], axis=-1)
