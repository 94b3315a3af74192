"""Say at every step the symbol that was shown at the first."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.fields import count
from memcore.rl.environments.base import Environment, State, choose, one_hot
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array


@dataclass(frozen=True)
class RepeatFirst(Environment):
    """A symbol is shown at every step; the action is right if it names the first one.

    Episodes last from half of ``length`` to ``length`` steps, each length as likely. A right action is worth
    1 / T, a wrong one -1 / T, with T the length of the episode. Observation: the symbol, one-hot, and a flag
    at the first step. Source: POPGym (Morad et al., arXiv:2303.01859), whose decks of cards and fixed length
    are independent symbols and random lengths here.
    """

    symbols: int = count(4, least=2)
    length: int = count(32, least=2)

    @property
    def observation_size(self) -> int:
        return self.symbols + 1

    @property
    def actions(self) -> int:
        return self.symbols

    def begin(self, numbers: Numbers) -> State:
        symbol = numbers.integers(self.symbols)
        xp = namespace(symbol)
        least = (self.length + 1) // 2
        last = least + numbers.integers(self.length - least + 1)
        return {"time": xp.zeros_like(symbol), "length": last, "first": symbol, "symbol": symbol}

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        right = xp.astype(action, xp.int32) == episode["first"]
        reward = choose(right, 1.0, -1.0) / xp.astype(episode["length"], xp.float32)
        time = episode["time"] + 1
        episode = {**episode, "time": time, "symbol": numbers.integers(self.symbols)}
        return episode, reward, time >= episode["length"]

    def observe(self, episode: State) -> Array:
        xp = namespace(episode["time"])
        first = xp.astype(episode["time"] == 0, xp.float32)[..., None]
        return xp.concat([one_hot(episode["symbol"], self.symbols), first], axis=-1)
