"""The gated delta rule and its layer against a prefix scan over full matrices.

    python benchmarks/gated_delta_rule.py

The opponent is written with ``jax.lax.associative_scan`` alone and keeps the state of every step.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import opponents
from harness import HEADER, compare

import memcore

BATCH, LENGTH, HEADS, SIZE = 4, 1024, 4, 64


def main() -> None:
    keys = jax.random.split(jax.random.key(0), 6)
    shape = (BATCH, LENGTH, HEADS, SIZE)
    q, k, v = (jax.random.normal(key, shape) for key in keys[:3])
    k = k / jnp.linalg.norm(k, axis=-1, keepdims=True)
    beta = jax.nn.sigmoid(jax.random.normal(keys[3], shape[:-1]))
    log_decay = -0.1 * jax.nn.softplus(jax.random.normal(keys[4], shape[:-1]))
    starts = jax.random.bernoulli(keys[5], 0.01, shape[:2])

    print(f"JAX {jax.__version__}, {jax.devices()[0]}; B={BATCH} T={LENGTH} H={HEADS} K=V={SIZE}\n")
    print(HEADER)
    rule = compare(
        "gated delta rule",
        lambda *a: memcore.ops.delta_rule(*a, starts=starts)[1],
        lambda *a: opponents.gated_delta_rule(*a, starts),
        (q, k, v, beta, log_decay),
    )
    print(rule, flush=True)
    layer = memcore.GatedDeltaNet(HEADS * SIZE, heads=HEADS)
    params = layer.init(jax.random.key(1))
    xs = jax.random.normal(keys[0], (BATCH, LENGTH, HEADS * SIZE))
    row = compare(
        "GatedDeltaNet layer",
        lambda p, x: layer.apply(p, x, starts=starts)[1],
        lambda p, x: opponents.gated_delta_net_layer(p, x, starts, HEADS),
        (params, xs),
    )
    print(row)


if __name__ == "__main__":
    main()
