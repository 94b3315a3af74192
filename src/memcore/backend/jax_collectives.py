"""What the devices of a `shard_map` tell each other: a tree is one message for each of its dtypes."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import jax
import jax.numpy as jnp

from memcore.backend.jax_placement import cast_to
from memcore.types import Array, Tree


def gathered(tree: Tree, axis_name: str) -> Tree:
    return _together(lambda line: jax.lax.all_gather(line, axis_name), tree)


def piece(axis_name: str) -> tuple[Array, int]:
    return jax.lax.axis_index(axis_name).astype(jnp.int32), jax.lax.axis_size(axis_name)


def of_last(tree: Tree, axis_name: str) -> Tree:
    index, count = piece(axis_name)

    def told(line: Array) -> Array:
        return jax.lax.psum(jnp.where(index == count - 1, line, jnp.zeros_like(line)), axis_name)

    return _together(told, tree)


def of_one_before(tree: Tree, axis_name: str, backwards: bool = False) -> Tree:
    """With ``backwards`` of the one behind; zeros where there is none."""
    pairs = [(i, i + 1) for i in range(piece(axis_name)[1] - 1)]
    pairs = [(j, i) for i, j in pairs] if backwards else pairs
    return _together(lambda line: jax.lax.ppermute(line, axis_name, pairs), tree)


def every_device(x: Array, axis_name: str) -> Array:
    """``x`` of all devices of the `shard_map`, ``(devices, *x)``: those of its other axes too.

    What decides over what is sent has to be decided by all: a runtime may have a `ppermute` wait for every
    device, and then a group that goes another way stops all of them.
    """
    axes = jax.sharding.get_abstract_mesh().manual_axes or (axis_name,)
    return jax.lax.all_gather(cast_to(x, frozenset(axes)), tuple(axes))


def everywhere(flag: Array, axis_name: str) -> Array:
    return jnp.all(every_device(jnp.all(flag), axis_name))


def _together(send: Callable[[Array], Array], tree: Tree) -> Tree:
    """``send`` of the leaves, side by side in one array of each dtype; flags go with the numbers."""
    leaves, structure = jax.tree.flatten(tree)
    number = next((x.dtype for x in leaves if x.dtype != bool), jnp.dtype(jnp.int8))
    kinds = [number if x.dtype == bool else x.dtype for x in leaves]
    told = list(leaves)
    for kind in dict.fromkeys(kinds):
        places = [i for i, own in enumerate(kinds) if own == kind]
        line = send(jnp.concat([leaves[i].astype(kind).reshape(-1) for i in places]))
        ends = list(accumulate(leaves[i].size for i in places))
        for i, part in zip(places, jnp.split(line, ends[:-1], axis=-1), strict=True):
            shape = (*line.shape[:-1], *leaves[i].shape)
            told[i] = part.reshape(shape).astype(leaves[i].dtype)
    return jax.tree.unflatten(structure, told)
