"""Environments of other packages, where they are installed."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from conftest import Backend
from memcore.rl.environments import make


@pytest.mark.requires("popgym")
@pytest.mark.backend("numpy")
@pytest.mark.parametrize("name", ["RepeatFirstEasy", "PositionOnlyCartPoleEasy", "AutoencodeEasy"])
def test_popgym_is_popgym(name: str, backend: Backend) -> None:
    from gymnasium.spaces import flatten
    from popgym.envs import ALL

    environment = make(f"popgym:{name}")
    [cls] = [cls for cls in ALL if cls.__name__ == name]
    own, rng = cls(), np.random.default_rng(0)
    seen, _ = own.reset(seed=7)
    state, observation = environment.reset(np.array([[5, 7]]))
    for _ in range(300):
        assert observation.shape == (1, 2, environment.observation_size)
        np.testing.assert_array_equal(observation[0, 1], flatten(own.observation_space, seen))
        action = rng.integers(0, environment.actions, (1, 2))
        state, observation, reward, done = environment.step(state, action)
        seen, paid, ended, cut, _ = own.step(int(action[0, 1]))
        np.testing.assert_allclose(reward[0, 1], paid, rtol=1e-6)
        assert done[0, 1] == (ended or cut)
        if ended or cut:
            seen, _ = own.reset()
    with pytest.raises(ValueError, match="popgym has no 'Chess', expected one of AutoencodeEasy"):
        make("popgym:Chess")


@pytest.mark.backend("jax")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("gymnax:MemoryChain-bsuite", marks=pytest.mark.requires("gymnax")),
        pytest.param("xminigrid:MiniGrid-MemoryS8", marks=pytest.mark.requires("xminigrid")),
    ],
)
def test_batches_of_jax(name: str, backend: Backend) -> None:
    import jax

    environment, rng = make(name), np.random.default_rng(0)
    state, observation = environment.reset(np.arange(3))
    one, alone = environment.reset(np.array(1))
    step, ended = jax.jit(environment.step), 0
    for _ in range(340):
        assert observation.shape == (3, environment.observation_size)
        np.testing.assert_allclose(observation[1], alone, atol=1e-6)
        action = rng.integers(0, environment.actions, 3)
        state, observation, reward, done = step(state, action)
        one, alone, paid, over = step(one, action[1])
        assert done.dtype == bool and reward.dtype == np.float32
        assert bool(done[1]) == bool(over) and float(reward[1]) == float(paid)
        ended += int(done.sum())
    assert ended > 2
    with pytest.raises(ValueError, match=f"{name.split(':')[0]} has no 'Chess', expected one of"):
        make(f"{name.split(':')[0]}:Chess")


@pytest.mark.backend("jax")
@pytest.mark.parametrize("package", ["gymnax", "popgym", "xminigrid"])
def test_what_is_not_installed_is_named(
    package: str, monkeypatch: pytest.MonkeyPatch, backend: Backend
) -> None:
    for name in (package, f"{package}.envs"):
        monkeypatch.setitem(sys.modules, name, None)
    packages = "gymnax six" if package == "gymnax" else package
    with pytest.raises(
        ImportError, match=f"{package} cannot be imported .*: pip install {packages}$"
    ):
        make(f"{package}:anything")
