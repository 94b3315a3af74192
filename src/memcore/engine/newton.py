"""``method="newton"``: the states of a nonlinear cell, all steps at once."""

from __future__ import annotations

import math
from collections.abc import Callable

from memcore.backend import namespace, newton, tree_flatten, tree_unflatten
from memcore.types import Array, State, Tree


def all_states(
    step: Callable[[Tree, Tree, Tree], Tree], constants: Tree, state: State, slots: Tree, ndim: int,
    length: int, axis_name: str | None = None,
) -> tuple[Tree, State]:  # fmt: skip
    """The state after each step, time leading, and the one before them; the same numbers as a fold of
    ``step``, to a tolerance. With an axis these are the steps of a piece, and ``state`` stands before the
    first one.

    ``step(constants, state, slot)`` is the next state. Leaves of ``state``, all floating point, have
    ``ndim`` batch axes in front, leaves of ``slots`` the time before them. JAX.
    """
    leaves, structure = tree_flatten(state)
    shapes = [leaf.shape[ndim:] for leaf in leaves]
    xp = namespace(*leaves)

    def flatten(tree: Tree) -> Tree:
        parts = [
            xp.reshape(leaf, (*leaf.shape[:ndim], math.prod(leaf.shape[ndim:])))
            for leaf in tree_flatten(tree)[0]
        ]
        return xp.concat(parts, axis=-1)

    def unflatten(flat: Array) -> Tree:
        parts, begin = [], 0
        for shape in shapes:
            size = math.prod(shape)
            parts.append(xp.reshape(flat[..., begin : begin + size], (*flat.shape[:-1], *shape)))
            begin += size
        return tree_unflatten(structure, parts)

    def flat_step(constants: Tree, flat: Array, slot: Tree) -> Tree:
        return flatten(step(constants, unflatten(flat), slot))

    states, before = newton(flat_step, length, constants, flatten(state), slots, axis_name)
    return unflatten(states), unflatten(before)
