"""Recurrent PPO in one file: the whole run, with many environments and several seeds, is one `jit`.

    python recurrent_ppo.py                                     # GRU on repeat_first
    python recurrent_ppo.py --env t_maze:length=50 --models gru,lru,attention:window=64 --seeds 3
    python recurrent_ppo.py --framework nnx --model gated_delta_net

It prints a table, and writes results.json and returns.png (the mean over seeds, and their range) into --out.
The algorithm is that of "Proximal Policy Optimization" (Schulman et al., arXiv:1707.06347), in the style of
PureJaxRL: rollouts that go on across updates, minibatches of whole sequences with the state they began with.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

import memcore
from memcore.fields import check_fields, count, number
from memcore.rl import Agent, agent, generalised_advantages
from memcore.rl.environments import Simulator, make
from memcore.train.commands.hybrids import hybrid
from memcore.train.commands.models import split
from memcore.train.runs.files import beside, finite, write_json


@dataclasses.dataclass(frozen=True)
class Shared:
    """What every algorithm here is asked."""

    env: str = "repeat_first"  # its fields behind a colon, as t_maze:length=50
    model: str = "gru"  # with fields, as attention:window=32; several with commas for the layers of one stack
    models: str = ""  # models to set side by side, in place of --model
    framework: Literal["core", "equinox", "linen", "nnx"] = "core"
    seeds: int = count(1)  # runs at once, by vmap
    seed: int = count(0, least=0)  # the first one
    steps: int = count(500_000)  # of all environments together
    width: int = count(64)
    layers: int = count(1)
    learned_state: bool = False  # the initial state of each memory is a parameter
    environments: int = count(64)
    rollout: int = count(64)  # steps of each environment between two updates
    gamma: float = number(0.99, least=0, most=1)

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def updates(self) -> int:
        return max(1, self.steps // (self.environments * self.rollout))


@dataclasses.dataclass(frozen=True)
class Options(Shared):
    """Recurrent PPO with any memory model of memcore."""

    epochs: int = count(4)
    minibatches: int = count(4)
    learning_rate: float = number(2e-3, above=0)  # of Adam, falls linearly to 0
    gae_lambda: float = number(0.95, least=0, most=1)
    clip: float = number(0.2, above=0)
    entropy: float = number(0.01, least=0)
    value: float = number(0.5, least=0)
    gradient_norm: float = number(0.5, above=0)
    out: Path = Path("runs/rl")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.environments % self.minibatches:
            expected = f"a multiple of {self.minibatches=}"
            raise ValueError(f"environments is {self.environments}, expected {expected}")


def network(options: Any, text: str, environment: Simulator, outputs: int) -> memcore.Model:
    """A stack of the memories that the text names; PPO's outputs are the logits, and the value last."""
    inner = hybrid(text, options.width)
    if options.learned_state:
        inner = tuple(memcore.LearnedState(model) for model in inner)
    width, layers = environment.observation_size, max(options.layers, len(inner))
    return memcore.ResidualStack(width, model=inner, layers=layers, out_features=outputs)


class Transition(NamedTuple):
    observation: Any
    start: Any
    action: Any
    log_prob: Any
    value: Any
    reward: Any
    done: Any


class Carry(NamedTuple):
    """What goes on from rollout to rollout: ``start`` says that ``observation`` begins an episode."""

    environment: Any
    observation: Any
    start: Any
    memory: Any
    total: Any


def log_prob(logits: Any, action: Any) -> Any:
    return jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]


def rollout(
    options: Options, environment: Simulator, agent: Agent, params: Any, carry: Carry, key: Any
) -> Any:
    """Act for a while: ``(carry, transitions (T, B), returns (T, B))``, NaN where no episode ended."""

    def act(carry: Carry, key: Any) -> Any:
        memory, y = agent.step(params, carry.memory, carry.observation, carry.start)
        logits, value = y[..., :-1], y[..., -1]
        action = jax.random.categorical(key, logits)
        state, observation, reward, done = environment.step(carry.environment, action)
        chosen = (action, log_prob(logits, action), value)
        seen = Transition(carry.observation, carry.start, *chosen, reward, done)
        total = carry.total + reward
        after = Carry(state, observation, done, memory, jnp.where(done, 0, total))
        return after, (seen, jnp.where(done, total, jnp.nan))

    carry, (seen, returns) = jax.lax.scan(act, carry, jax.random.split(key, options.rollout))
    return carry, seen, returns


def loss(options: Options, agent: Agent, params: Any, batch: Any) -> Any:
    """PPO's loss of sequences ``(B, T)``, and the largest change of a log-probability."""
    memory, seen, advantage = batch
    _, ys = agent.apply(params, seen.observation, memory, seen.start)
    logits, value = ys[..., :-1], ys[..., -1]
    target = advantage + seen.value
    change = log_prob(logits, seen.action) - seen.log_prob
    ratio, scaled = jnp.exp(change), (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1 - options.clip, 1 + options.clip)
    policy = -jnp.minimum(ratio * scaled, clipped * scaled).mean()
    near = seen.value + jnp.clip(value - seen.value, -options.clip, options.clip)
    critic = 0.5 * jnp.maximum((value - target) ** 2, (near - target) ** 2).mean()
    entropy = -(jax.nn.softmax(logits) * jax.nn.log_softmax(logits)).sum(-1).mean()
    return policy + options.value * critic - options.entropy * entropy, jnp.abs(change).max()


def train(
    options: Options, environment: Simulator, agent: Agent, report: Callable[..., None], seed: Any
) -> Any:
    """One run: ``(params, carry, returns (updates), largest differences of log-probabilities (updates))``."""
    key, first, seeds = jax.random.split(jax.random.key(seed), 3)
    rows = options.environments
    gradients = options.updates * options.epochs * options.minibatches
    schedule = optax.linear_schedule(options.learning_rate, 0.0, gradients)
    clip = optax.clip_by_global_norm(options.gradient_norm)
    optimizer = optax.chain(clip, optax.adam(schedule, eps=1e-5))
    params = agent.init(first)
    state, observation = environment.reset(jax.random.randint(seeds, (rows,), 0, 2**31 - 1))
    memory = agent.initial_state(params, (rows,))
    carry = Carry(state, observation, jnp.ones(rows, bool), memory, jnp.zeros(rows))

    def learn(trained: Any, batch: Any) -> Any:
        params, moments = trained
        derived = jax.value_and_grad(lambda p: loss(options, agent, p, batch), has_aux=True)
        (_, change), gradient = derived(params)
        steps, moments = optimizer.update(gradient, moments, params)
        return (optax.apply_updates(params, steps), moments), change

    def update(everything: Any, index: Any) -> Any:
        trained, carry, key = everything
        key, acting, *shuffles = jax.random.split(key, 2 + options.epochs)
        before = carry.memory
        carry, seen, returns = rollout(options, environment, agent, trained[0], carry, acting)
        _, y = agent.step(trained[0], carry.memory, carry.observation, carry.start)
        seen = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), seen)  # to memcore's (B, T, ...)
        how = {"discount": options.gamma, "trace": options.gae_lambda}
        advantage = generalised_advantages(seen.reward, seen.value, seen.done, y[..., -1], **how)
        batch = (before, seen, advantage)
        order = jnp.concatenate([jax.random.permutation(k, rows) for k in shuffles])
        order = order.reshape(options.epochs * options.minibatches, -1)
        trained, changes = jax.lax.scan(
            lambda t, i: learn(t, jax.tree.map(lambda x: x[i], batch)), trained, order
        )
        mean = jnp.nanmean(returns)
        jax.debug.callback(report, seed, index, mean)
        # Nothing was learned yet at the first minibatch: acting and training must agree there.
        return (trained, carry, key), (mean, changes[0])

    everything = ((params, optimizer.init(params)), carry, key)
    indices = jnp.arange(options.updates)
    (trained, carry, _), (returns, changes) = jax.lax.scan(update, everything, indices)
    return trained[0], carry, returns, changes


def run(
    options: Any, text: str, console: Console, train: Any, act: Any, outputs: int
) -> dict[str, Any]:
    """All seeds of one model: what the table and the picture show."""
    environment = make(options.env)
    model = network(options, text, environment, environment.actions + outputs)
    memory = agent(model, options.framework)
    seeds = jnp.arange(options.seed, options.seed + options.seeds)
    mean = TextColumn("return {task.fields[mean]:.3f}")
    columns = (TextColumn("{task.description}"), BarColumn(), mean)
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(text, total=options.updates, mean=math.nan)

        def report(seed: Any, index: Any, mean: Any) -> None:
            if seed == options.seed:
                progress.update(bar, completed=int(index) + 1, mean=float(mean))

        whole = jax.jit(jax.vmap(lambda seed: train(options, environment, memory, report, seed)))
        compiled = whole.lower(seeds).compile()
        training, (params, carry, returns, *changes) = seconds(compiled, seeds)
    acting = jax.jit(jax.vmap(lambda p, c, k: act(options, environment, memory, p, c, k)[0].total))
    keys = jax.random.split(jax.random.key(0), options.seeds)
    times = [seconds(acting, params, carry, keys)[0] for _ in range(4)]  # the first one compiles
    steps = options.environments * options.rollout * options.seeds
    last = np.nanmean(np.asarray(returns)[:, -max(1, options.updates // 20) :], axis=1)
    return {
        "model": text,
        "return": float(last.mean()),
        "spread": float(last.std()),
        "best": environment.best_return,
        "acting": steps / float(np.median(times[1:])),
        "training": steps * options.updates / training,
        "state": size(memcore.initial_state(model, model.init(0))),
        "parameters": size(model.init(0)),
        "difference": float(jnp.max(changes[0])) if changes else math.nan,
        "returns": np.asarray(returns).tolist(),
    }


def seconds(function: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = jax.block_until_ready(function(*arguments))
    return time.perf_counter() - began, result


def size(tree: Any) -> int:
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def table(results: list[dict[str, Any]]) -> Table:
    """One row for each model; acting and training in steps per second."""
    heads = ("model", "return", "best", "acting", "training", "state", "parameters", "difference")
    shown = Table(*heads)
    for r in results:
        numbers = [f"{r[name]:,.0f}" for name in heads[3:7]]
        mean = f"{r['return']:.3f} ± {r['spread']:.3f}"
        shown.add_row(r["model"], mean, f"{r['best']:.3f}", *numbers, f"{r['difference']:.1e}")
    return shown


def picture(options: Any, results: list[dict[str, Any]], path: Path) -> None:
    """Returns over steps: the mean over seeds, and from the lowest to the highest."""
    axes = Figure(figsize=(9, 4), dpi=120, layout="constrained").subplots()
    axes.set(title=options.env, xlabel="steps of the environments", ylabel="return of an episode")
    for result in results:
        curves = np.array(result["returns"])
        kept = ~np.isnan(curves).any(0)  # no episode ended in the others
        steps = (np.arange(kept.size) + 1)[kept] * options.environments * options.rollout
        curves = curves[:, kept]
        axes.plot(steps, curves.mean(0), label=result["model"])
        axes.fill_between(steps, curves.min(0), curves.max(0), alpha=0.1)
    axes.axhline(results[0]["best"], color="gray", linestyle=":", label="best")
    axes.grid(alpha=0.3)
    axes.figure.legend(loc="outside right upper", frameon=False)
    axes.figure.savefig(path)


def side_by_side(options: Any, train: Any, act: Any, outputs: int) -> list[dict[str, Any]]:
    """Run each model; results are written after every one of them."""
    console, results = Console(), []
    options.out.mkdir(parents=True, exist_ok=True)
    for text in split(options.models) if options.models else [options.model]:
        results.append(run(options, text, console, train, act, outputs))
        about = {**dataclasses.asdict(options), "out": str(options.out), "results": results}
        write_json(options.out / "results.json", finite(about))
        with beside(options.out / "returns.png") as draft:
            picture(options, results, draft)
    console.print(table(results), f"{options.out}: results.json, returns.png", sep="\n")
    return results


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    return side_by_side(tyro.cli(Options, args=arguments), train, rollout, outputs=1)


if __name__ == "__main__":
    main()
