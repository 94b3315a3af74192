"""The examples of reinforcement learning: a few updates in every framework, and what they write."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import r2d2
import recurrent_ppo

import memcore
from memcore.rl import agent
from memcore.rl.environments import make

SMALL = ["--environments", "4", "--rollout", "8", "--width", "8"]
EXAMPLES = {
    "ppo": (recurrent_ppo, [*SMALL, "--steps", "128", "--minibatches", "2"]),
    "r2d2": (r2d2, [*SMALL, "--steps", "128", "--burn-in", "3", "--batch", "4", "--capacity", "2"]),
}


@pytest.fixture(autouse=True)
def as_users_run_it() -> Iterator[None]:
    """With JAX's own promotion of dtypes: optax's schedules mix them."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.parametrize("framework", ["core", "equinox", "linen", "nnx"])
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_few_updates(name: str, framework: str, tmp_path: Path) -> None:
    module, options = EXAMPLES[name]
    options = [
        *options,
        "--env",
        "t_maze:length=3",
        "--framework",
        framework,
        "--out",
        str(tmp_path),
    ]
    [result] = module.main([*options, "--seeds", "2"])
    returns = np.array(result["returns"])
    assert returns.shape == (2, 4) and np.isfinite(returns).all()
    assert 0 <= returns.min() and returns.max() <= 1 and result["best"] == 1
    assert result["state"] == 8 and result["acting"] > 0 and result["training"] > 0
    if name == "ppo":
        assert 0 <= result["difference"] < 1e-4
    written = json.loads((tmp_path / "results.json").read_text())
    assert written["results"][0]["returns"] == result["returns"]
    assert written["framework"] == framework and written["env"] == "t_maze:length=3"
    assert (tmp_path / "returns.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("framework", ["core", "equinox", "linen", "nnx"])
def test_acting_is_training(framework: str) -> None:
    """Step by step and as a sequence, with a start: the same outputs in every framework."""
    one = agent(memcore.GRU(3, hidden_size=4), framework)
    params = one.init(jax.random.key(0))
    xs = jnp.asarray(np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32"))
    starts = jnp.zeros((2, 5), bool).at[1, 3].set(True)
    state = first = one.initial_state(params, (2,))
    ys = []
    for t in range(5):
        state, y = one.step(params, state, xs[:, t], starts[:, t])
        ys.append(y)
    after, want = one.apply(params, xs, first, starts)
    np.testing.assert_allclose(jnp.stack(ys, 1), want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(state, after, rtol=1e-5, atol=1e-6)


def test_several_models_and_a_learned_state(tmp_path: Path) -> None:
    module, options = EXAMPLES["ppo"]
    several = ["--models", "lru,attention:window=4", "--learned-state", "--out", str(tmp_path)]
    results = module.main([*options, *several, "--env", "repeat_first:length=4"])
    assert [r["model"] for r in results] == ["lru", "attention:window=4"]
    assert all(math.isfinite(r["return"]) for r in results)


def test_what_does_not_fit() -> None:
    with pytest.raises(
        ValueError, match="environments is 6, expected a multiple of .*minibatches=4"
    ):
        recurrent_ppo.Options(environments=6)
    with pytest.raises(ValueError, match="burn_in is 32, expected 1 to 31"):
        r2d2.Options(burn_in=32)
    for name, wrong in (("rollout", 0), ("gamma", 1.5), ("learning_rate", math.nan), ("seed", -1)):
        for options in (recurrent_ppo.Options, r2d2.Options):
            with pytest.raises(ValueError, match=f"{name} is {wrong}, expected"):
                options(**{name: wrong})


@pytest.mark.parametrize("file", ["recurrent_ppo.py", "r2d2.py"])
def test_one_file_of_at_most_300_lines(file: str) -> None:
    text = (Path(__file__).parents[2] / "examples" / "rl" / file).read_text()
    assert text.count("\n") <= 300


def test_ppo_learns_to_remember(tmp_path: Path) -> None:
    """RepeatFirst with two symbols: without memory an episode is worth 0.3 at most."""
    short = [
        "--env",
        "repeat_first:length=5,symbols=2",
        "--steps",
        "20000",
        "--rollout",
        "16",
        "--width",
        "16",
    ]
    [result] = recurrent_ppo.main([*short, "--learning-rate", "1e-2", "--out", str(tmp_path)])
    assert result["return"] > 0.9
    assert make("repeat_first").best_return == 1
