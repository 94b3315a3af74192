"""What the devices of a `shard_map` tell each other."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from memcore.types import Array, Tree


def gathered(tree: Tree, axis_name: str) -> Tree:
    return jax.tree.map(lambda x: jax.lax.all_gather(x, axis_name), tree)


def piece(axis_name: str) -> tuple[Array, int]:
    return jax.lax.axis_index(axis_name).astype(jnp.int32), jax.lax.axis_size(axis_name)


def of_last(tree: Tree, axis_name: str) -> Tree:
    index, count = piece(axis_name)

    def leaf(x: Array) -> Array:
        number = x.astype(jnp.int8) if x.dtype == bool else x
        told = jax.lax.psum(
            jnp.where(index == count - 1, number, jnp.zeros_like(number)), axis_name
        )
        return told.astype(x.dtype)

    return jax.tree.map(leaf, tree)
