"""Advantages of the actions of a rollout."""

from __future__ import annotations

from memcore import ops
from memcore.backend import as_flags, is_floating, namespace
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
        discount: gamma.
        trace: lambda.

    Returns:
        ``(..., T)``; what the critic learns is their sum with ``values``.

    Raises:
        ValueError, TypeError: an argument does not fit; the message names it.
    """
    xp = namespace(rewards, values, last)
    if not is_floating(rewards):
        raise TypeError(f"rewards has dtype {rewards.dtype}, expected floats")
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
