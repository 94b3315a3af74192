"""Each environment beside a plain loop of its rules, one environment at a time, on what an agent sees."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import memcore
from conftest import Backend
from memcore.rl import environments
from memcore.rl.environments import make
from memcore.rl.environments.numbers import Numbers, mix

STEPS, ROWS = 120, 4
NAMES = [
    "bandit:arms=3,pulls=7",
    "cart_pole:length=30",
    "cart_pole:length=200,velocities=True",
    "memory_chain:length=5,bits=3",
    "random_projection:size=5,episodes=2",
    "repeat_first:length=9,symbols=3",
    "repeat_previous:length=9,symbols=3,back=2",
    "t_maze:length=6",
    "t_maze:length=1",
]


def play(name: str, backend: Backend, seed: int = 0) -> dict[str, Any]:
    """Random actions in a batch: what was seen, done and paid; leaves ``(ROWS, STEPS, ...)``."""
    environment = make(name)
    rng = np.random.default_rng(seed)
    seeds = backend.asarray(np.arange(ROWS, dtype="int32") + 10 * seed)
    state, observation = environment.reset(seeds)
    seen: dict[str, list[Any]] = {k: [] for k in ("o", "a", "r", "d", "state")}
    for _ in range(STEPS):
        action = rng.integers(0, environment.actions, ROWS).astype("int32")
        seen["o"].append(backend.to_numpy(observation))
        seen["a"].append(action)
        seen["state"].append(backend.to_numpy(state["episode"]))
        state, observation, reward, done = environment.step(state, backend.asarray(action))
        seen["r"].append(backend.to_numpy(reward))
        seen["d"].append(backend.to_numpy(done))
    return {k: v if k == "state" else np.stack(v, 1) for k, v in seen.items()}


def episodes(played: dict[str, Any]) -> Iterator[tuple[Any, Any, Any, int, int]]:
    """Whole episodes: observations, actions, rewards, the row and the step of the first."""
    for row in range(ROWS):
        begin = 0
        for end in np.flatnonzero(played["d"][row]):
            part = slice(begin, end + 1)
            yield played["o"][row, part], played["a"][row, part], played["r"][row, part], row, begin
            begin = end + 1


@pytest.mark.parametrize("name", NAMES)
def test_the_same_in_every_library(name: str, backend: Backend) -> None:
    got, want = play(name, backend), play(name, Backend("numpy"))
    environment = make(name)
    assert got["o"].shape == (ROWS, STEPS, environment.observation_size)
    assert got["o"].dtype == got["r"].dtype == np.float32 and got["d"].dtype == bool
    for key in "oard":
        np.testing.assert_allclose(got[key], want[key], atol=1e-4)
    assert got["d"].any()


@pytest.mark.parametrize("name", NAMES)
def test_batches_and_seeds(name: str, backend: Backend) -> None:
    """A row does not know of the others; another seed is another environment."""
    environment = make(name)
    seeds = np.array([[3, 4], [5, 6]], "int32")
    state, observation = environment.reset(backend.asarray(seeds))
    one, alone = environment.reset(backend.asarray(np.array(6, "int32")))
    other = backend.to_numpy(observation)
    for _ in range(10):
        action = backend.asarray(np.ones((2, 2), "int32"))
        state, observation, reward, done = environment.step(state, action)
        one, alone, paid, ended = environment.step(one, backend.asarray(np.array(1, "int32")))
        whole = [backend.to_numpy(x) for x in (observation, reward, done)]
        single = [backend.to_numpy(x) for x in (alone, paid, ended)]
        for many, few in zip(whole, single, strict=True):
            np.testing.assert_allclose(many[1, 1], few, rtol=1e-5, atol=1e-6)
        other = np.concatenate([other, whole[0]], axis=-1)
    assert len(np.unique(other.reshape(4, -1), axis=0)) > 1


# --- the rules, in plain loops ------------------------------------------------------------------------


def test_repeat_first(backend: Backend) -> None:
    played, lengths = play("repeat_first:length=9,symbols=3", backend), set()
    for o, a, r, _, _ in episodes(played):
        n = len(o)
        lengths.add(n)
        assert [x[3] for x in o] == [1.0] + [0.0] * (n - 1)
        first = list(o[0][:3]).index(1.0)
        np.testing.assert_allclose(r, [(1 if x == first else -1) / n for x in a], rtol=1e-6)
        assert all(sum(x[:3]) == 1 for x in o)
    assert lengths == {5, 6, 7, 8, 9}


def test_repeat_previous(backend: Backend) -> None:
    played, lengths = play("repeat_previous:length=9,symbols=3,back=2", backend), set()
    for o, a, r, _, _ in episodes(played):
        symbols, n = [list(x[:3]).index(1.0) for x in o], len(o) - 2
        lengths.add(n)
        for t in range(len(o)):
            right = (1 if a[t] == symbols[t - 2] else -1) / n
            np.testing.assert_allclose(r[t], right if t >= 2 else 0, rtol=1e-6)
            assert o[t][3] == (t == 0)
    assert lengths == {5, 6, 7, 8, 9}


@pytest.mark.parametrize("length", [1, 6])
def test_t_maze(length: int, backend: Backend) -> None:
    sides = set()
    for o, a, r, _, _ in episodes(play(f"t_maze:length={length}", backend)):
        assert len(o) == length + 1
        side = list(o[0]).index(1.0)
        sides.add(side)
        assert all(list(x) == [0, 0, 1, 0] for x in o[1:-1]) and list(o[-1]) == [0, 0, 0, 1]
        assert list(r) == [0.0] * length + [float(a[-1] == side)]
    assert sides == {0, 1}


def test_memory_chain(backend: Backend) -> None:
    asked = set()
    for o, a, r, _, _ in episodes(play("memory_chain:length=5,bits=3", backend)):
        assert len(o) == 6
        np.testing.assert_allclose([x[0] for x in o], [1, 0.8, 0.6, 0.4, 0.2, 0], atol=1e-6)
        assert all(not x[1:4].any() for x in o[:-1]) and all(not x[4:].any() for x in o[1:])
        which = list(o[-1][1:4]).index(1.0)
        asked.add(which)
        assert set(o[0][4:]) <= {-1.0, 1.0}
        bit = o[0][4 + which] > 0
        assert list(r) == [0.0] * 5 + [1.0 if a[-1] == bit else -1.0]
    assert asked == {0, 1, 2}


def test_cart_pole(backend: Backend) -> None:
    """The equations of the cart and pole (Barto, Sutton and Anderson; Florian), in Python's numbers."""
    played, lengths = play("cart_pole:length=30", backend), []
    for o, a, r, row, begin in episodes(played):
        x, v, th, w = (float(z) for z in played["state"][begin]["body"][row])
        assert max(abs(x), abs(v), abs(th), abs(w)) < 0.05 + 1e-6
        for t in range(len(o)):
            np.testing.assert_allclose(o[t], [x / 2.4, th * 180 / (12 * math.pi)], atol=1e-4)
            force = 10.0 if a[t] else -10.0
            total, arm = 1.1, 0.1 * 0.5
            temp = (force + arm * w**2 * math.sin(th)) / total
            bottom = 0.5 * (4 / 3 - 0.1 * math.cos(th) ** 2 / total)
            angular = (9.8 * math.sin(th) - math.cos(th) * temp) / bottom
            linear = temp - arm * angular * math.cos(th) / total
            x, v, th, w = x + 0.02 * v, v + 0.02 * linear, th + 0.02 * w, w + 0.02 * angular
            fell = abs(x) > 2.4 or abs(th) > 12 * math.pi / 180
            assert fell == (t == len(o) - 1) or len(o) == 30
        lengths.append(len(o))
        np.testing.assert_allclose(r, 1 / 30, rtol=1e-6)
    assert min(lengths) < 30


def test_bandit(backend: Backend) -> None:
    played = play("bandit:arms=3,pulls=7", backend)
    chances, paid = [], []
    for o, a, r, row, begin in episodes(played):
        assert len(o) == 7 and o[0].tolist() == [0, 0, 0, 0, 1]
        for t in range(1, 7):
            assert o[t].tolist() == [
                *(float(i == a[t - 1]) for i in range(3)),
                round(r[t - 1] * 7),
                0,
            ]
        for t in range(7):
            chances.append(played["state"][begin]["chances"][row][a[t]])
            paid.append(r[t] * 7)
    assert set(np.round(paid).tolist()) == {0.0, 1.0}
    # 400 coins: three standard deviations of their sum.
    assert abs(np.mean(paid) - np.mean(chances)) < 3 * 0.5 / math.sqrt(len(paid))
    assert make("bandit:arms=3").best_return == 0.75


def test_random_projection(backend: Backend) -> None:
    """The inner environment, played by hand with the actions that are meant."""
    played = play("random_projection:size=5,episodes=2", backend)
    inner = make("random_projection").environment  # type: ignore[attr-defined]
    projections = set()
    for o, a, r, row, begin in episodes(played):
        first = played["state"][begin]
        projection, order = first["projection"][row], first["order"][row]
        projections.add(projection.tobytes())
        ended, start = 0, True
        for t in range(len(o)):
            episode = {k: v[row : row + 1] for k, v in played["state"][begin + t]["inner"].items()}
            np.testing.assert_allclose(o[t][:5], projection @ inner.observe(episode)[0], atol=1e-4)
            acted = [0.0, 0.0] if t == 0 else [float(i == a[t - 1]) for i in range(2)]
            before = 0.0 if t == 0 else r[t - 1] * 2
            np.testing.assert_allclose(o[t][5:], [*acted, before, float(start)], atol=1e-6)
            meant = np.array([order[a[t]]], "int32")
            none = Numbers(np.zeros(1, "uint32"), np.zeros(1, "uint32"))
            _, reward, done = inner.advance(episode, meant, none)
            np.testing.assert_allclose(r[t], reward[0] / 2, rtol=1e-5)
            ended, start = ended + int(done[0]), bool(done[0])
        assert ended == 2
    assert len(projections) > ROWS


# --- random numbers -------------------------------------------------------------------------------------


def scrambled(x: int) -> int:
    """The mixing function in Python's integers."""
    x = ((x ^ x >> 16) * 0x7FEB352D) % 2**32
    x = ((x ^ x >> 15) * 0x846CA68B) % 2**32
    return x ^ x >> 16


def test_numbers(backend: Backend) -> None:
    values = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    got = backend.to_numpy(mix(backend.asarray(np.array(values, "uint32"))))
    assert got.tolist() == [scrambled(x) for x in values]
    numbers = Numbers(*backend.asarray((np.arange(400, dtype="uint32"), np.zeros(400, "uint32"))))
    uniform = backend.to_numpy(numbers.uniform(50))
    assert uniform.shape == (400, 50) and 0 <= uniform.min() and uniform.max() < 1
    # Means of 20,000 numbers, to four standard deviations.
    assert abs(uniform.mean() - 0.5) < 4 * 0.29 / math.sqrt(20_000)
    normal = backend.to_numpy(numbers.normal(50))
    assert abs(normal.mean()) < 4 / math.sqrt(20_000) and abs(normal.std() - 1) < 0.03
    counts = np.bincount(backend.to_numpy(numbers.integers(5, 50)).ravel(), minlength=5)
    assert len(counts) == 5 and abs(counts / 20_000 - 0.2).max() < 4 * 0.4 / math.sqrt(20_000)
    assert np.unique(uniform).size > 19_900


# --- names and errors -----------------------------------------------------------------------------------


def test_every_environment_is_tested() -> None:
    assert {name.split(":")[0] for name in NAMES} == set(environments.environments)
    assert memcore.rl.environments is environments


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("maze", "environment is 'maze', expected one of bandit, cart_pole"),
        ("t_maze:size=3", "t_maze has no setting 'size=3', expected length"),
        ("t_maze:length", "t_maze has no setting 'length', expected length"),
        ("t_maze:length=0", "length is 0, expected a positive int"),
        ("t_maze:length=x", "length is 'x', expected a positive int"),
        ("t_maze:length=3,length=4", "t_maze has length twice in"),
        ("repeat_first:symbols=1", "symbols is 1, expected an int of at least 2"),
    ],
)
def test_names(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make(name)


def test_a_name_is_text() -> None:
    with pytest.raises(TypeError, match="name is None, expected a str, one of bandit"):
        make(None)  # type: ignore[arg-type]


def test_a_state_is_of_its_environment() -> None:
    maze, chain = make("t_maze"), make("memory_chain")
    state, _ = chain.reset(np.arange(2))
    with pytest.raises(ValueError, match="state has the structure .*, expected"):
        maze.step(state, np.zeros(2, int))
    few, many = make("bandit:arms=2"), make("bandit:arms=5")
    state, _ = few.reset(np.arange(3))
    with pytest.raises(
        ValueError, match=r"episode/chances has shape \(3, 2\), expected \(..., 5\)"
    ):
        many.step(state, np.zeros(3, int))


def test_what_does_not_fit() -> None:
    environment = make("t_maze")
    for seeds, error, said in [
        (np.zeros(2), TypeError, "seeds has dtype float64, expected integers"),
        (np.array([-1]), ValueError, "seeds has the value -1, expected none below 0"),
        (
            np.array([2**32]),
            ValueError,
            "seeds has the value 4294967296, expected below 4294967296",
        ),
        (None, TypeError, "seeds is None, expected integers"),
    ]:
        with pytest.raises(error, match=said):
            environment.reset(seeds)
    state, _ = environment.reset(np.arange(2))
    for action, error, said in [
        (np.zeros(2), TypeError, "action has dtype float64, expected integers"),
        (np.array([0, 2]), ValueError, "action has the value 2, expected below 2"),
        (np.array([0, -1]), ValueError, "action has the value -1, expected none below 0"),
        (np.zeros((2, 1), int), ValueError, r"action has shape \(2, 1\), expected \(2,\)"),
    ]:
        with pytest.raises(error, match=said):
            environment.step(state, action)
    with pytest.raises(TypeError, match="environment is 'cart_pole', expected an Environment"):
        environments.RandomProjection("cart_pole")  # type: ignore[arg-type]
