"""Recurrent Q-learning from replayed sequences, with stored states and burn-in, in one file and one `jit`.

    python r2d2.py                                  # GRU on repeat_first
    python r2d2.py --env t_maze:length=20 --models gru,lru --seeds 3

Each sequence in the buffer holds the state in which it began. That state is of older parameters; so a
replayed sequence first runs for --burn-in steps without a gradient, from the stored state, and learns from
the rest.
Source: "Recurrent Experience Replay in Distributed Reinforcement Learning" (Kapturowski et al., ICLR 2019),
with double Q-learning, without priorities and without the rescaling of values. Prints and writes what
recurrent_ppo.py does.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import recurrent_ppo as shared
import tyro

from memcore.fields import count, number
from memcore.rl import Agent
from memcore.rl.environments import Simulator


@dataclasses.dataclass(frozen=True)
class Options(shared.Shared):
    """Recurrent Q-learning with any memory model of memcore."""

    steps: int = count(300_000)  # of all environments together
    environments: int = count(32)
    rollout: int = count(32)  # new steps of each sequence
    gamma: float = number(0.95, least=0, most=1)
    burn_in: int = count(16)  # steps before them, from the rollout before
    capacity: int = count(32)  # rollouts that the buffer holds
    batch: int = count(64)  # sequences of one gradient
    gradients: int = count(8)  # for each rollout
    learning_rate: float = number(1e-3, above=0)
    explore: float = number(
        0.4, above=0, most=1
    )  # of environment i of N: explore ** (1 + 7 i / (N - 1))
    target: float = number(
        0.05, above=0, most=1
    )  # how far the target network moves with each gradient
    gradient_norm: float = number(10.0, above=0)
    out: Path = Path("runs/r2d2")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.burn_in >= self.rollout:
            raise ValueError(f"burn_in is {self.burn_in}, expected 1 to {self.rollout - 1}")


class Transition(NamedTuple):
    observation: Any
    start: Any
    action: Any
    reward: Any
    done: Any


class Carry(NamedTuple):
    """What goes on from rollout to rollout; ``before`` and ``tail``: a state, and the steps since then."""

    environment: Any
    observation: Any
    start: Any
    memory: Any
    total: Any
    before: Any = None
    tail: Any = None


def act(
    options: Options, environment: Simulator, agent: Agent, params: Any, carry: Carry, keys: Any
) -> Any:
    """One step for each key: ``(carry, (transitions (T, B), returns (T, B)))``."""
    rows = jnp.arange(options.environments) / max(1, options.environments - 1)
    epsilon = options.explore ** (1 + 7 * rows)

    def one(carry: Carry, key: Any) -> Any:
        chance, which = jax.random.split(key)
        memory, values = agent.step(params, carry.memory, carry.observation, carry.start)
        random = jax.random.randint(which, rows.shape, 0, environment.actions)
        explores = jax.random.uniform(chance, rows.shape) < epsilon
        action = jnp.where(explores, random, jnp.argmax(values, -1))
        state, observation, reward, done = environment.step(carry.environment, action)
        seen = Transition(carry.observation, carry.start, action, reward, done)
        total = carry.total + reward
        after = Carry(state, observation, done, memory, jnp.where(done, 0, total))
        return after, (seen, jnp.where(done, total, jnp.nan))

    short = carry._replace(before=None, tail=None)
    return jax.lax.scan(one, short, keys)


def loss(
    options: Options, agent: Agent, params: Any, target: Any, memory: Any, seen: Transition
) -> Any:
    """Squared errors of double Q-learning on the steps behind the burn-in, but the last."""
    burn = options.burn_in
    new = jax.tree.map(lambda x: x[:, burn:], seen)

    def values(params: Any) -> Any:
        state, _ = agent.apply(params, seen.observation[:, :burn], memory, seen.start[:, :burn])
        state = jax.lax.stop_gradient(state)
        return agent.apply(params, new.observation, state, new.start)[1]

    ours, theirs = values(params), values(target)
    best = jnp.argmax(ours, -1)[..., None]
    following = jnp.take_along_axis(jax.lax.stop_gradient(theirs), best, -1)[:, 1:, 0]
    wanted = new.reward[:, :-1] + options.gamma * (1.0 - new.done[:, :-1]) * following
    chosen = jnp.take_along_axis(ours, new.action[..., None], -1)[:, :-1, 0]
    return jnp.mean((chosen - jax.lax.stop_gradient(wanted)) ** 2)


def train(
    options: Options, environment: Simulator, agent: Agent, report: Callable[..., None], seed: Any
) -> Any:
    """One run: ``(params, carry, returns (updates))``."""
    key, first, seeds = jax.random.split(jax.random.key(seed), 3)
    rows, capacity = options.environments, options.capacity
    optimizer = optax.chain(
        optax.clip_by_global_norm(options.gradient_norm), optax.adam(options.learning_rate)
    )
    params = agent.init(first)
    state, observation = environment.reset(jax.random.randint(seeds, (rows,), 0, 2**31 - 1))
    memory = agent.initial_state(params, (rows,))
    carry = Carry(state, observation, jnp.ones(rows, bool), memory, jnp.zeros(rows))

    def collect(params: Any, carry: Carry, key: Any) -> Any:
        """A rollout in two pieces: the second one, and the state before it, begin the next sequence."""
        keys = jax.random.split(key, options.rollout)
        cut = options.rollout - options.burn_in
        middle, (new, returns) = act(options, environment, agent, params, carry, keys[:cut])
        after, (tail, more) = act(options, environment, agent, params, middle, keys[cut:])
        pieces = [new, tail] if carry.tail is None else [carry.tail, new, tail]
        seen = jax.tree.map(lambda *x: jnp.swapaxes(jnp.concatenate(x), 0, 1), *pieces)
        after = after._replace(before=middle.memory, tail=tail)
        return after, (carry.before, seen), jnp.concatenate([returns, more])

    def learn(trained: Any, replayed: Any) -> Any:
        params, target, moments = trained
        gradient = jax.grad(lambda p: loss(options, agent, p, target, *replayed))(params)
        steps, moments = optimizer.update(gradient, moments, params)
        params = optax.apply_updates(params, steps)
        return params, optax.incremental_update(params, target, options.target), moments

    def update(everything: Any, index: Any) -> Any:
        trained, carry, buffer, key = everything
        key, acting, drawing = jax.random.split(key, 3)
        carry, sequences, returns = collect(trained[0], carry, acting)
        slot = index % capacity
        buffer = jax.tree.map(lambda b, x: b.at[slot].set(x), buffer, sequences)
        held = jnp.minimum(index + 1, capacity) * rows
        places = jax.random.randint(drawing, (options.gradients, options.batch), 0, held)

        def replay(trained: Any, place: Any) -> Any:
            return learn(
                trained, jax.tree.map(lambda b: b[place // rows, place % rows], buffer)
            ), None

        trained, _ = jax.lax.scan(replay, trained, places)
        mean = jnp.nanmean(returns)
        jax.debug.callback(report, seed, index, mean)
        return (trained, carry, buffer, key), mean

    carry, _, _ = collect(params, carry, key)  # fills the first tail
    _, shapes, _ = jax.eval_shape(collect, params, carry, key)
    buffer = jax.tree.map(lambda s: jnp.zeros((capacity, *s.shape), s.dtype), shapes)
    everything = ((params, params, optimizer.init(params)), carry, buffer, key)
    (trained, carry, _, _), returns = jax.lax.scan(update, everything, jnp.arange(options.updates))
    return trained[0], carry, returns


def rollout(
    options: Options, environment: Simulator, agent: Agent, params: Any, carry: Carry, key: Any
) -> Any:
    return act(options, environment, agent, params, carry, jax.random.split(key, options.rollout))


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    return shared.side_by_side(tyro.cli(Options, args=arguments), train, rollout, outputs=0)


if __name__ == "__main__":
    main()
