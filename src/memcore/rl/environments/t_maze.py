"""Turn at the end of a corridor to the side that was shown at its beginning."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import namespace
from memcore.fields import count
from memcore.rl.environments.base import Environment, State, choose
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array


@dataclass(frozen=True)
class TMaze(Environment):
    """A sign at the first step says left or right; ``length`` steps later the action at the junction is to
    follow it.

    The corridor advances by itself, so what is learned is memory and not walking. The episode ends at the
    junction, with reward 1 for the right turn and 0 for the other; a policy without memory gets 0.5.
    Observation: sign left, sign right, corridor, junction, one-hot. Sources: Bakker, "Reinforcement learning
    with long short-term memory" (2001); the passive form is that of Ni et al. (arXiv:2307.03864).
    """

    length: int = count(10)

    @property
    def observation_size(self) -> int:
        return 4

    @property
    def actions(self) -> int:
        return 2

    def begin(self, numbers: Numbers) -> State:
        side = numbers.integers(2)
        return {"time": namespace(side).zeros_like(side), "side": side}

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        done = episode["time"] >= self.length
        right = xp.astype(action, xp.int32) == episode["side"]
        return {**episode, "time": episode["time"] + 1}, choose(done & right, 1.0, 0.0), done

    def observe(self, episode: State) -> Array:
        time, side = episode["time"], episode["side"]
        xp = namespace(time)
        sign, junction = time == 0, time >= self.length
        seen = [sign & (side == 0), sign & (side == 1), ~(sign | junction), junction]
        return xp.astype(xp.stack(seen, axis=-1), xp.float32)
