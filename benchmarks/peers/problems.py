"""Random inputs that the pairs share."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from sizes import Sizes


def starts(n: Sizes) -> Any:
    """``(B, T)``, one step in a hundred."""
    return jax.random.bernoulli(jax.random.key(7), 0.01, (n.batch, n.length))


def features(n: Sizes) -> Any:
    """``(B, T, width)``."""
    return jax.random.normal(jax.random.key(1), (n.batch, n.length, n.width))


def heads(n: Sizes) -> tuple[Any, Any, Any]:
    """Queries, keys of norm 1, values: ``(B, T, H, K)``."""
    shape = (n.batch, n.length, n.heads, n.size)
    q, k, v = (jax.random.normal(key, shape) for key in jax.random.split(jax.random.key(2), 3))
    return q, k / jnp.linalg.norm(k, axis=-1, keepdims=True), v


def gates(n: Sizes) -> tuple[Any, Any]:
    """Two arrays ``(B, T, H)``."""
    shape = (n.batch, n.length, n.heads)
    a, b = (jax.random.normal(key, shape) for key in jax.random.split(jax.random.key(3)))
    return a, b
