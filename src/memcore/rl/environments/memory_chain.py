"""Name at the end of a chain one of the bits that were shown at its beginning."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.fields import count
from memcore.rl.environments.base import Environment, State, choose, one_hot
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array


@dataclass(frozen=True)
class MemoryChain(Environment):
    """The first step shows ``bits`` bits, the last one asks for one of them.

    Only the action of the last step, ``length`` steps after the first, counts: 1 for the bit that is asked
    for, -1 for the other. Observation: the time that is left (1 to 0), which bit is asked for (one-hot, zeros
    before the last step), the bits as -1 and 1 (zeros after the first step). Source: ``memory_len`` and
    ``memory_size`` of bsuite (Osband et al., arXiv:1908.03568).
    """

    length: int = count(10)
    bits: int = count(1)

    @property
    def observation_size(self) -> int:
        return 1 + 2 * self.bits

    @property
    def actions(self) -> int:
        return 2

    def begin(self, numbers: Numbers) -> State:
        bits, asked = numbers.integers(2, self.bits), numbers.integers(self.bits)
        return {"time": namespace(asked).zeros_like(asked), "bits": bits, "asked": asked}

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        done = episode["time"] >= self.length
        asked = xp.astype(one_hot(episode["asked"], self.bits), xp.int32)
        wanted = xp.sum(episode["bits"] * asked, axis=-1, dtype=xp.int32)
        reward = choose(xp.astype(action, xp.int32) == wanted, 1.0, -1.0)
        reward = xp.where(done, reward, xp.zeros_like(reward))
        return {**episode, "time": episode["time"] + 1}, reward, done

    def observe(self, episode: State) -> Array:
        time = episode["time"]
        xp = namespace(time)
        left = 1.0 - xp.astype(time, xp.float32)[..., None] / self.length
        asked = one_hot(
            xp.where(time >= self.length, episode["asked"], -xp.ones_like(time)), self.bits
        )
        bits = xp.astype(2 * episode["bits"] - 1, xp.float32)
        bits = xp.where((time == 0)[..., None], bits, xp.zeros_like(bits))
        return xp.concat([left, asked, bits], axis=-1)
