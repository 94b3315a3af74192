"""Chaotic systems: predict what comes next.

Trajectories are integrated in float64 with fixed steps of the classical Runge-Kutta method, in
plain additions, multiplications and divisions one by one, which every machine rounds alike.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore.tasks.base.checks import at_least
from memcore.tasks.base.generated import Generated, episode
from memcore.tasks.base.registry import register
from memcore.tasks.base.task import Example, Split

FINE = 2**31
"""How many initial values there are for each number that is drawn."""

Point = tuple[float, float, float]


@dataclass(frozen=True)
class _Trajectory(Generated):
    """Samples of a trajectory on its attractor, in units of the attractor's mean and deviation."""

    asks: ClassVar[str] = "the next sample"
    loss: ClassVar[str] = "mse"
    metric: ClassVar[str] = "mse"
    tokens: ClassVar[bool] = False
    sizes: ClassVar[dict[Split, int]] = {"train": 16_384, "validation": 256, "test": 256}
    degrees: ClassVar[int]
    """How many numbers determine the initial state."""

    length: int = 64
    """Steps of a row."""
    ahead: int = 1
    """How many steps ahead to predict."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("length", self.length, 1)
        at_least("ahead", self.ahead, 1)

    def draw(self, random: np.random.RandomState) -> np.ndarray:
        """(degrees,) ints below `FINE`."""
        return random.randint(FINE, size=self.degrees, dtype=np.int64)

    def example(self, numbers: np.ndarray) -> Example:
        samples = self.samples(numbers / FINE, self.length + self.ahead)
        return episode(samples[: self.length], samples[self.ahead :], np.ones(self.length))

    def samples(self, initial: np.ndarray, count: int) -> np.ndarray:
        """(count, in_features) float64 samples from `initial` (degrees,), numbers in [0, 1)."""
        raise NotImplementedError


LORENZ_STEP = 0.01
LORENZ_SETTLES = 300
LORENZ_LOW, LORENZ_SIZE = np.array([-15.0, -20.0, 5.0]), np.array([30.0, 40.0, 40.0])
LORENZ_MEAN, LORENZ_DEVIATION = np.array([0.0, 0.0, 23.55]), np.array([7.92, 9.01, 8.63])


@register("lorenz63")
@dataclass(frozen=True)
class Lorenz63(_Trajectory):
    """The three coordinates of Lorenz's system of 1963; at every step, those of the next sample.

    x' = 10 (y - x), y' = x (28 - z) - y, z' = x y - 8/3 z, from a random point in a box around
    the attractor. Steps of 0.01; the first 300 of them settle and are not shown. Coordinates are
    less their mean over the attractor and divided by their deviation. Source: E. N. Lorenz,
    Deterministic nonperiodic flow, J. Atmos. Sci. 20 (1963).
    """

    in_features: ClassVar[int] = 3
    out_features: ClassVar[int] = 3
    degrees: ClassVar[int] = 3

    every: int = 5
    """Steps of 0.01 between two samples."""

    @property
    def input_names(self) -> tuple[str, ...]:
        return ("x", "y", "z")

    @property
    def output_names(self) -> tuple[str, ...]:
        return self.input_names

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("every", self.every, 1)

    def samples(self, initial: np.ndarray, count: int) -> np.ndarray:
        x, y, z = (LORENZ_LOW + LORENZ_SIZE * initial).tolist()
        point = (x, y, z)
        for _ in range(LORENZ_SETTLES):
            point = lorenz_step(point, LORENZ_STEP)
        points = [point]
        for _ in range(count - 1):
            for _ in range(self.every):
                point = lorenz_step(point, LORENZ_STEP)
            points.append(point)
        return (np.array(points) - LORENZ_MEAN) / LORENZ_DEVIATION


def lorenz_step(point: Point, h: float) -> Point:
    """One Runge-Kutta step of length `h`."""
    x, y, z = point
    a1, b1, c1 = _lorenz(x, y, z)
    a2, b2, c2 = _lorenz(x + h / 2 * a1, y + h / 2 * b1, z + h / 2 * c1)
    a3, b3, c3 = _lorenz(x + h / 2 * a2, y + h / 2 * b2, z + h / 2 * c2)
    a4, b4, c4 = _lorenz(x + h * a3, y + h * b3, z + h * c3)
    return (
        x + h / 6 * (a1 + 2 * a2 + 2 * a3 + a4),
        y + h / 6 * (b1 + 2 * b2 + 2 * b3 + b4),
        z + h / 6 * (c1 + 2 * c2 + 2 * c3 + c4),
    )


def _lorenz(x: float, y: float, z: float) -> Point:
    return 10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z


MACKEY_STEPS = 10
"""Runge-Kutta steps in a unit of time."""
MACKEY_SETTLES = 300
MACKEY_RESTS = 4
"""A series with this delay or a shorter one comes to rest at 1, wherever it began: all rows are one."""
MACKEY_LOW, MACKEY_SIZE = 0.4, 1.0
MACKEY_MEAN, MACKEY_DEVIATION = 0.93, 0.226
DECAY, PRODUCTION = 0.1, 0.2


@register("mackey_glass")
@dataclass(frozen=True)
class MackeyGlass(_Trajectory):
    """The Mackey-Glass series; at every step, the value of the next sample.

    x'(t) = 0.2 x(t - delay) / (1 + x(t - delay)^10) - 0.1 x(t), chaotic for a delay of 17, from a
    random broken line of ten pieces on [-delay, 0]. Steps of 0.1; the first 300 units of time (at
    least) settle and are not shown. Values are less 0.93 and divided by 0.226, the mean and
    the deviation at a delay of 17. Source: M. C. Mackey and L. Glass, Oscillation and chaos in
    physiological control systems, Science 197 (1977).
    """

    in_features: ClassVar[int] = 1
    out_features: ClassVar[int] = 1
    degrees: ClassVar[int] = 11

    delay: int = 17
    """Units of time after which the series acts on itself: 5 or more, below which it comes to rest."""
    every: int = 6
    """Units of time between two samples."""

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("delay", self.delay, MACKEY_RESTS + 1)
        at_least("every", self.every, 1)

    def samples(self, initial: np.ndarray, count: int) -> np.ndarray:
        first, step = MACKEY_SETTLES * MACKEY_STEPS, self.every * MACKEY_STEPS
        wanted = first + step * np.arange(count)
        series = mackey_glass(MACKEY_LOW + MACKEY_SIZE * initial, self.delay, int(wanted[-1]))
        return ((series[wanted] - MACKEY_MEAN) / MACKEY_DEVIATION)[:, None]


def mackey_glass(knots: np.ndarray, delay: int, steps: int) -> np.ndarray:
    """(at least steps + 1,) values at times 0, 0.1, 0.2, ...

    knots (11,) are the corners of the broken line on [-delay, 0], evenly spaced. In a stretch of
    length `delay` all delayed values are known, so the equation is linear there: a Runge-Kutta
    step is x -> ratio * x + push. Delayed values halfway between two steps are those of the cubic
    through both with their slopes.
    """
    h = 1.0 / MACKEY_STEPS
    u = -DECAY * h
    ratio = 1 + u + u * u / 2 + u * u * u / 6 + u * u * u * u / 24
    early = h / 6 * (1 + u + u * u / 2 + u * u * u / 4)
    middle = h / 6 * (4 + 2 * u + u * u / 2)
    x, slopes = _broken_line(knots, delay)
    pieces = [x[-1:]]
    for _ in range(-(-steps // (delay * MACKEY_STEPS))):
        halfway = (x[:-1] + x[1:]) / 2 + h / 8 * (slopes[0] - slopes[1])
        force, forces = _production(x), _production(halfway)
        push = early * force[:-1] + middle * forces + h / 6 * force[1:]
        value, values = float(x[-1]), [float(x[-1])]
        for p in push.tolist():
            value = ratio * value + p
            values.append(value)
        x = np.array(values)
        slope = force - DECAY * x
        slopes = (slope[:-1], slope[1:])
        pieces.append(x[1:])
    return np.concatenate(pieces)


def _broken_line(knots: np.ndarray, delay: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """The line's values at every step, and no slopes: halfway along a line is the mean."""
    part = np.arange(delay)[None, :] / delay
    line = knots[:-1, None] * (1 - part) + knots[1:, None] * part
    none = np.zeros(delay * MACKEY_STEPS)
    return np.concatenate([line.ravel(), knots[-1:]]), (none, none)


def _production(x: np.ndarray) -> np.ndarray:
    x2 = x * x
    x4 = x2 * x2
    return PRODUCTION * x / (1 + x4 * x4 * x2)
