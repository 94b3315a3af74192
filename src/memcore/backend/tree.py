"""Tree functions: ``jax.tree`` once JAX is loaded (it knows a user's registered nodes), else optree."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import optree

from memcore.types import Tree


def _jax_tree() -> Tree:
    jax = sys.modules.get("jax")
    return getattr(jax, "tree", None)


def tree_map(f: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Apply ``f`` to the leaves of ``tree`` (and of ``rest``, which have the same structure)."""
    if type(tree) is np.ndarray:
        return f(tree, *rest)
    jax_tree = _jax_tree()
    return jax_tree.map(f, tree, *rest) if jax_tree else optree.tree_map(f, tree, *rest)


def tree_flatten(tree: Tree) -> tuple[list[Tree], Tree]:
    """The leaves of ``tree`` in a fixed order, and its structure."""
    jax_tree = _jax_tree()
    leaves, structure = jax_tree.flatten(tree) if jax_tree else optree.tree_flatten(tree)
    return list(leaves), structure


def tree_unflatten(structure: Tree, leaves: list[Tree]) -> Tree:
    """The inverse of `tree_flatten`."""
    return structure.unflatten(leaves)


def tree_leaves(tree: Tree) -> list[Tree]:
    """The leaves of ``tree`` in a fixed order."""
    return tree_flatten(tree)[0]


def nested(leaves: Mapping[str, Tree]) -> dict[str, Tree]:
    """The dicts whose leaves have these names: what `tree_paths` undoes, but for dicts that are empty."""
    tree: dict[str, Tree] = {}
    for name, leaf in leaves.items():
        *rooms, last = name.split("/")
        at = tree
        for room in rooms:
            at = at.setdefault(room, {})
        at[last] = leaf
    return tree


def tree_paths(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Tree]]:
    """Names and leaves of a tree of mappings, tuples and lists: ``("layer_0/kernel", leaf)``."""
    if isinstance(tree, Mapping):
        items = [(str(key), tree[key]) for key in sorted(tree, key=str)]
    elif isinstance(tree, tuple | list):
        items = [(str(i), item) for i, item in enumerate(tree)]
    elif tree is None:
        return
    else:
        yield prefix, tree
        return
    for name, item in items:
        yield from tree_paths(item, f"{prefix}/{name}" if prefix else name)
