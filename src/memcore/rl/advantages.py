"""Advantages of the actions of a rollout."""

from __future__ import annotations

from memcore import ops
from memcore.backend import as_flags, is_floating, is_jax, namespace, plain
from memcore.fields import is_number
from memcore.types import Array


def generalised_advantages(
    rewards: Array, values: Array, dones: Array, last: Array, *, discount: float, trace: float
) -> Array:
    """Generalised advantage estimates: how much better an action did than was expected of its state.

        delta_t = r_t + discount (1 - done_t) v_{t+1} - v_t
        A_t = delta_t + discount trace (1 - done_t) A_{t+1}

    A linear recurrence backwards in time. Source: Schulman et al. (arXiv:1506.02438), equation 16.

    Args:
        rewards: ``(..., T)``.
        values: ``(..., T)``, of the observation on which the action was chosen.
        dones: ``(..., T)`` bool, or numbers that are 0 and 1: the step ended an episode.
        last: ``(...)``, the value of the observation behind the rollout.
        discount: gamma, 0 to 1.
        trace: lambda, 0 to 1.

    Returns:
        ``(..., T)``; what the critic learns is their sum with ``values``.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    for name, factor in (("discount", discount), ("trace", trace)):
        if not is_jax(factor) and not (is_number(factor) and 0 <= factor <= 1):
            raise ValueError(f"{name} is {factor!r}, expected a number from 0 to 1")
    given = {"rewards": rewards, "values": values, "last": last}
    rewards, values, last = (plain(name, x, "floats") for name, x in given.items())
    for name, x in zip(given, (rewards, values, last), strict=True):
        if not is_floating(x):
            raise TypeError(f"{name} has dtype {x.dtype}, expected floats")
    xp = namespace(rewards, values, last)
    shape, dones = rewards.shape, xp.asarray(as_flags("dones", dones))
    wanted = {"values": (values, shape), "dones": (dones, shape), "last": (last, shape[:-1])}
    for name, (x, expected) in wanted.items():
        if x.shape != expected:
            raise ValueError(
                f"{name} has shape {x.shape}, expected {expected} for {rewards.shape=}"
            )
    going = 1.0 - xp.astype(dones, rewards.dtype)
    after = xp.concat([values[..., 1:], last[..., None]], axis=-1)
    delta = rewards + discount * going * after - values
    decay = discount * trace * going
    _, advantages = ops.linear_recurrence(decay[..., None], delta[..., None], reverse=True)
    return advantages[..., 0]
