"""Balance a pole of which positions are seen and velocities are not."""

from __future__ import annotations

import math
from dataclasses import dataclass

from memcore.backend import namespace
from memcore.fields import count, flag
from memcore.rl.environments.base import Environment, State
from memcore.rl.environments.numbers import Numbers
from memcore.types import Array

GRAVITY, CART, POLE, HALF_LENGTH, FORCE, SECONDS = 9.8, 1.0, 0.1, 0.5, 10.0, 0.02
"""m/s^2, kg, kg, m, N, s."""
POSITION_LIMIT, ANGLE_LIMIT = 2.4, 12 * math.pi / 180


@dataclass(frozen=True)
class CartPole(Environment):
    """A cart is pushed to the left or to the right so that the pole on it does not fall.

    An episode ends after ``length`` steps, or where the cart is farther than 2.4 m or the pole more than 12
    degrees away; each step is worth 1 / length. Observation: position and angle, each over its limit; with
    ``velocities`` theirs as well, and then no memory is needed. Sources: Barto, Sutton and Anderson (1983),
    with the constants and the Euler steps of gymnasium's CartPole; positions only as in POPGym
    (arXiv:2303.01859).
    """

    length: int = count(200)
    velocities: bool = flag(False)

    @property
    def observation_size(self) -> int:
        return 4 if self.velocities else 2

    @property
    def actions(self) -> int:
        return 2

    def begin(self, numbers: Numbers) -> State:
        start = 0.1 * numbers.uniform(4) - 0.05
        xp = namespace(start)
        return {"time": xp.zeros(start.shape[:-1], dtype=xp.int32), "body": start}

    def advance(
        self, episode: State, action: Array, numbers: Numbers
    ) -> tuple[State, Array, Array]:
        xp = namespace(action)
        x, speed, angle, turn = (episode["body"][..., i] for i in range(4))
        force = FORCE * (2.0 * xp.astype(action, xp.float32) - 1.0)
        sin, cos = xp.sin(angle), xp.cos(angle)
        pushed = (force + POLE * HALF_LENGTH * turn * turn * sin) / (CART + POLE)
        lever = HALF_LENGTH * (4.0 / 3.0 - POLE * cos * cos / (CART + POLE))
        turning = (GRAVITY * sin - cos * pushed) / lever
        speeding = pushed - POLE * HALF_LENGTH * turning * cos / (CART + POLE)
        moved = [x + SECONDS * speed, speed + SECONDS * speeding]
        moved += [angle + SECONDS * turn, turn + SECONDS * turning]
        time = episode["time"] + 1
        fallen = (xp.abs(moved[0]) > POSITION_LIMIT) | (xp.abs(moved[2]) > ANGLE_LIMIT)
        reward = xp.ones_like(x) / self.length
        episode = {"time": time, "body": xp.stack(moved, axis=-1)}
        return episode, reward, fallen | (time >= self.length)

    def observe(self, episode: State) -> Array:
        body = episode["body"]
        xp = namespace(body)
        seen = [body[..., 0] / POSITION_LIMIT, body[..., 2] / ANGLE_LIMIT]
        if self.velocities:
            seen += [body[..., 1], body[..., 3]]
        return xp.stack(seen, axis=-1)
