"""Continuous localization: where am I, from the motions that I made."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import within
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example

LENGTHS = (20, 100, 1_000)

FINE = 2**16
"""Motions are multiples of 1 / FINE: exact in float32, and the same on every machine."""

MEAN_STEP = 2.0
"""Mean distance of a step, in metres."""


@register("localization")
@dataclass(frozen=True)
class Localization(Generated):
    """From rotations and translations in the local frame, the pose in the global frame.

    Input t is six numbers: the rotation vector of the motion (axis times angle, radians) and its
    translation (metres), both in the frame of the pose before it. With the rotation R_t and the
    translation d_t, and with the frame at the row's start as the global one (Q_0 = I, p_0 = 0),

        p_t = p_{t-1} + Q_{t-1} d_t,    Q_t = Q_{t-1} R_t,

    which is the product of the SE(3) matrices [R d; 0 1] from left to right. Target t is nine
    numbers: the first and the second column of Q_t, then p_t divided by `reach`. They follow from
    the inputs exactly as given, in float64. Every step counts.

    Axes and directions are isotropic, angles uniform from 0 to `turn`, distances exponential with
    mean 2 m, as in memax's continuous localization (there directions from a cube).
    """

    asks: ClassVar[str] = "the pose after all motions so far"
    loss: ClassVar[str] = "pose"
    metric: ClassVar[str] = "pose"
    tokens: ClassVar[bool] = False
    in_features: ClassVar[int] = 6
    out_features: ClassVar[int] = 9

    length: int = 20
    """Steps of a row: 20, 100 or 1,000."""
    turn: float = math.pi
    """The greatest angle of a step's rotation, in radians."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.length not in LENGTHS:
            offered = ", ".join(map(str, LENGTHS))
            raise ValueError(f"length is {self.length}, expected one of {offered} steps")
        within("turn", self.turn, 0, math.pi, "radians")

    @property
    def input_names(self) -> tuple[str, ...]:
        return tuple(f"{kind} {axis}" for kind in ("turn", "move") for axis in "xyz")

    @property
    def reach(self) -> float:
        """The unit of position in targets, in metres: sqrt(8 * length).

        It is the root mean square distance from the origin at the row's end, whatever the turns.
        """
        return math.sqrt(2 * self.length) * MEAN_STEP

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(length, 6) ints: the motions, in units of 1 / `FINE`."""
        axis, direction = (_directions(random, self.length) for _ in range(2))
        angle = self.turn * random.random_sample((self.length, 1))
        distance = MEAN_STEP * random.standard_exponential((self.length, 1))
        motions = np.concatenate([axis * angle, direction * distance], axis=1)
        return np.rint(motions * FINE).astype(np.int64)

    def example(self, numbers: np.ndarray) -> Example:
        motions = numbers / FINE
        orientation, position = compose(motions[:, :3], motions[:, 3:])
        columns = np.concatenate([orientation[:, :, 0], orientation[:, :, 1]], axis=1)
        targets = np.concatenate([columns, position / self.reach], axis=1)
        return episode(motions, targets, np.ones(self.length))


def compose(rotation: np.ndarray, translation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Global poses after local motions: orientation matrices (T, 3, 3) and positions (T, 3).

    rotation (T, 3) rotation vectors in radians, translation (T, 3); float64. The equations are
    those of `Localization`. Products of quaternions by a parallel prefix, each brought back to
    length 1: orientations stay orthonormal however many there are.
    """
    orientation = _matrix(_running_products(_quaternion(rotation)))
    before = np.concatenate([np.eye(3)[None], orientation[:-1]])
    return orientation, np.cumsum((before @ translation[:, :, None])[:, :, 0], axis=0)


def _directions(random: np.random.RandomState, count: int) -> np.ndarray:
    vectors = random.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _quaternion(rotation: np.ndarray) -> np.ndarray:
    """Rotation vectors (T, 3) as unit quaternions (T, 4), scalar first."""
    angle = np.linalg.norm(rotation, axis=1, keepdims=True)
    half_sine_by_angle = np.sinc(angle / (2 * np.pi)) / 2
    return np.concatenate([np.cos(angle / 2), half_sine_by_angle * rotation], axis=1)


def _running_products(q: np.ndarray) -> np.ndarray:
    """(T, 4): q_1, q_1 q_2, q_1 q_2 q_3, ... in log2(T) passes."""
    reach = 1
    while reach < len(q):
        longer = _product(q[:-reach], q[reach:])
        q = np.concatenate([q[:reach], longer])
        q = q / np.linalg.norm(q, axis=1, keepdims=True)
        reach *= 2
    return q


def _product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton's product of quaternions, (T, 4) each."""
    scalar = a[:, :1] * b[:, :1] - np.sum(a[:, 1:] * b[:, 1:], axis=1, keepdims=True)
    vector = a[:, :1] * b[:, 1:] + b[:, :1] * a[:, 1:] + np.cross(a[:, 1:], b[:, 1:])
    return np.concatenate([scalar, vector], axis=1)


def _matrix(q: np.ndarray) -> np.ndarray:
    """Unit quaternions (T, 4) as rotation matrices (T, 3, 3)."""
    w, x, y, z = q.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
