"""Chaotic systems: against other ways to integrate them."""

import numpy as np
import pytest

from memcore.tasks import Lorenz63, MackeyGlass
from memcore.tasks.signals.chaos import MACKEY_STEPS, lorenz_step, mackey_glass
from tasks.rows import asked, checksum, first_rows


def lorenz(point):
    x, y, z = point
    return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])


def euler(point, time, steps):
    for _ in range(steps):
        point = point + time / steps * lorenz(point)
    return point


def test_a_step_of_lorenz_is_the_limit_of_small_steps():
    point = np.array([-3.0, 5.0, 20.0])
    coarse, fine = euler(point, 0.002, 500), euler(point, 0.002, 1000)
    np.testing.assert_allclose(lorenz_step(tuple(point), 0.002), 2 * fine - coarse, atol=1e-8)
    assert abs(fine - coarse).max() > 1e-6


def test_lorenz_converges_with_the_fourth_order():
    def end(steps):
        point = (-3.0, 5.0, 20.0)
        for _ in range(steps):
            point = lorenz_step(point, 0.5 / steps)
        return np.array(point)

    exact = end(3200)
    coarse, fine = (abs(end(steps) - exact).max() for steps in (50, 100))
    assert 12 < coarse / fine < 20


def plain_mackey_glass(knots, delay, steps, fine):
    """Euler's method with steps of 0.1 / fine and every delayed value on the grid."""
    h = 1 / (MACKEY_STEPS * fine)
    back = delay * MACKEY_STEPS * fine
    grid = np.linspace(0, len(knots) - 1, back + 1)
    x = list(np.interp(grid, np.arange(len(knots)), knots))
    for k in range(steps * fine):
        late = x[k]
        x.append(x[-1] + h * (0.2 * late / (1 + late**10) - 0.1 * x[-1]))
    return np.array(x[back::fine])


def test_mackey_glass_is_the_limit_of_small_steps():
    knots = 0.4 + np.random.RandomState(0).rand(11)
    series = mackey_glass(knots, 3, 100)[:101]
    coarse, fine = (plain_mackey_glass(knots, 3, 100, n) for n in (10, 20))
    np.testing.assert_allclose(series, 2 * fine - coarse, atol=2e-5)
    assert abs(fine - coarse).max() > 1e-4


def test_mackey_glass_rests_where_production_equals_decay():
    np.testing.assert_allclose(mackey_glass(np.ones(11), 17, 500), 1.0, rtol=1e-12)


def test_mackey_glass_moves_where_a_delay_is_offered():
    """Below, all series come to rest at one value, and rows of two splits would be equal."""
    numbers = np.random.default_rng(0).random(11)
    assert np.ptp(mackey_glass(numbers, 4, 20_000)[-1000:]) < 1e-6
    assert np.ptp(mackey_glass(numbers, 5, 20_000)[-1000:]) > 0.1


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("task", [Lorenz63, MackeyGlass])
def test_targets_are_the_inputs_of_later(task, ahead):
    for row in first_rows(task(length=12, ahead=ahead), 3):
        np.testing.assert_array_equal(row["targets"][:-ahead], row["xs"][ahead:])
        assert asked(row)[0] == list(range(12))


def test_samples_of_lorenz_are_so_many_steps_apart():
    mean, deviation = np.array([0.0, 0.0, 23.55]), np.array([7.92, 9.01, 8.63])
    row = Lorenz63(length=8, every=3).source("test")[0]
    point = tuple(row["xs"][0] * deviation + mean)
    for sample in row["xs"][1:]:
        for _ in range(3):
            point = lorenz_step(point, 0.01)
        np.testing.assert_allclose((point - mean) / deviation, sample, atol=1e-5)


@pytest.mark.parametrize("task", [Lorenz63, MackeyGlass])
def test_values_are_normalised(task):
    values = np.concatenate([row["xs"] for row in first_rows(task(length=100), 30)])
    assert (abs(values.mean(axis=0)) < 0.2).all()
    assert (abs(values.std(axis=0) - 1) < 0.1).all()


@pytest.mark.parametrize(
    ("task", "pinned"),
    [(Lorenz63(), "e3098a395be83fee"), (MackeyGlass(), "9723465704669b90")],
)
def test_the_numbers_are_the_same_on_every_machine(task, pinned):
    assert checksum(task, bits=16) == pinned


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (Lorenz63, {"length": 0}, "length is 0, expected 1 or more"),
        (Lorenz63, {"every": 0}, "every is 0, expected 1 or more"),
        (MackeyGlass, {"ahead": 0}, "ahead is 0, expected 1 or more"),
        (MackeyGlass, {"delay": 4}, "delay is 4, expected 5 or more"),
        (MackeyGlass, {"every": 0}, "every is 0, expected 1 or more"),
    ],
)
def test_options_that_make_no_sense_are_refused(task, options, message):
    with pytest.raises(ValueError, match=message):
        task(**options)
