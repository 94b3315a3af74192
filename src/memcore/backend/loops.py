"""Loops over time: the fold, the parallel prefix, and the running maximum, time leading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from memcore.backend.namespace import is_jax, namespace
from memcore.backend.tree import tree_flatten, tree_leaves, tree_map, tree_unflatten
from memcore.types import Array, Element, State, Tree

FEWEST_STEPS = 8
"""Below so many steps that `states_of_fold` embeds at once, measured on a 2-core CPU, each is better embedded
by itself."""


def fold(f: Callable[..., Any], carry: Tree, xs: Tree, length: int) -> Tree:
    """``carry, y_t = f(carry, x_t)`` over the first axis of ``xs``; returns ``(carry, ys)``.

    ``lax.scan`` on JAX and a Python loop elsewhere; a fold of length 1 is a plain call.
    """
    if length == 1:
        carry, y = f(carry, tree_map(lambda x: x[0, ...], xs))
        return carry, tree_map(lambda leaf: leaf[None, ...], y)
    if is_jax(carry, xs):
        from memcore.backend import jax_functions

        return jax_functions.fold(f, carry, xs, length)
    leaves, structure = tree_flatten(xs)
    ys = []
    for t in range(length):
        carry, y = f(carry, tree_unflatten(structure, [leaf[t, ...] for leaf in leaves]))
        ys.append(y)
    return carry, tree_map(lambda *leaves: namespace(*leaves).stack(leaves), *ys)


def checkpointed_fold(
    body: Callable[..., Any], axis: int, constants: Tree, carry: Tree, xs: Tree
) -> Tree:
    """``carry, y = body(constants, carry, x)`` over ``axis`` of ``xs``, the chunks, where they stand:
    ``(carry, ys)``. Its gradient makes each chunk again; it has no forward mode. ``body`` closes over no
    array. JAX."""
    from memcore.backend import jax_chunks

    return jax_chunks.checkpointed_fold(body, axis, constants, carry, xs)


def branch(flag: Array, chosen: Callable[[], Tree], other: Callable[[], Tree]) -> Tree:
    """``chosen()`` where the scalar ``flag`` is set, else ``other()``, of one kind; no time is spent on what
    is not wanted, unless `jax.vmap` is over the flag."""
    if is_jax(flag):
        from memcore.backend import jax_functions

        return jax_functions.branch(flag, chosen, other)
    return chosen() if flag else other()


def associative_scan(op: Callable[[Tree, Tree], Tree], elements: Element, axis: int) -> Tree:
    """All prefixes ``e_0, op(e_0, e_1), ...`` along ``axis`` (not negative), in O(log T) rounds.

    ``jax.lax.associative_scan`` on JAX; elsewhere the same odd-even recursion, vectorised.
    """
    if is_jax(elements):
        from memcore.backend import jax_functions

        return jax_functions.associative_scan(op, elements, axis)
    return _odd_even(op, elements, axis)


def _odd_even(op: Callable[[Tree, Tree], Tree], elements: Element, axis: int) -> Tree:
    length = tree_leaves(elements)[0].shape[axis]
    if length < 2:
        return elements

    def part(tree: Tree, start: int, stop: int | None = None, step: int = 1) -> Tree:
        index = (slice(None),) * axis + (slice(start, stop, step), ...)
        return tree_map(lambda leaf: leaf[index], tree)

    odd = _odd_even(op, op(part(elements, 0, length - 1, 2), part(elements, 1, None, 2)), axis)
    if length == 2:
        return _interleave(part(elements, 0, 1), odd, axis)
    later = op(part(odd, 0, (length - 1) // 2), part(elements, 2, None, 2))
    first = part(elements, 0, 1)
    even = tree_map(lambda a, b: namespace(a, b).concat([a, b], axis=axis), first, later)
    return _interleave(even, odd, axis)


def _interleave(even: Array, odd: Array, axis: int) -> Tree:
    """``even_0, odd_0, even_1, ...``; ``even`` may be longer by one."""

    def leaf(a: Array, b: Array) -> Tree:
        xp = namespace(a, b)
        pairs = b.shape[axis]
        head = (slice(None),) * axis + (slice(0, pairs), ...)
        tail = (slice(None),) * axis + (slice(pairs, None), ...)
        both = xp.stack([a[head], b], axis=axis + 1)
        both = xp.reshape(both, (*b.shape[:axis], 2 * pairs, *b.shape[axis + 1 :]))
        return both if a.shape[axis] == pairs else xp.concat([both, a[tail]], axis=axis)

    return tree_map(leaf, even, odd)


def running_max(x: Array, axis: int) -> Array:
    """The largest number so far, along ``axis`` (not negative)."""
    if is_jax(x):
        from memcore.backend import jax_functions

        return jax_functions.running_max(x, axis)
    return _odd_even(namespace(x).maximum, x, axis)


def states_of_fold(functions: Tree, axis: int, at_once: int, *args: Tree) -> Tree:
    """The state after each step of a `GatedCell`, time at ``axis``; its leaves are floating point. JAX.

    ``functions`` are ``z = project(still, moving, rest, params, h)``, of any leading axes, and ``h =
    update(still, moving, rest, h, z)``, one after the other. ``project`` uses nothing of ``moving``, and each
    array that it gives depends on ``h``; the arguments ``params, state, still, moving,
    rest, starts, initial, xs``. Only ``moving`` and ``rest`` have the time, ``still`` has it with length 1,
    and all but ``rest`` and ``starts`` have gradients. At a start the state becomes ``initial``, of the
    state's shape, first. The gradient is made for all steps at once as far as it can be; there is no forward
    mode. With ``xs`` the fold makes ``moving`` itself, ``at_once`` steps at a time (fewer under `jax.vmap`),
    by the third function, ``moving = embed(params, xs)``; with a gradient only where ``update`` reads
    ``moving`` and ``z`` by their sum alone. There the fourth one, unless it is None, gives that sum of a
    single step, ``enter(params, h, x)``, and without a gradient, or where ``at_once`` is 1, is used.
    """
    from memcore.backend import jax_adjoint

    return jax_adjoint.states(functions, axis, at_once, *args)


def is_product(project: Callable[..., Tree], axis: int, *args: Tree) -> bool:
    """Whether the ``project`` of `states_of_fold` is what that asks for, and has a product of matrices; the
    arguments ``params, state, still, moving, rest``. JAX."""
    from memcore.backend import jax_adjoint

    return jax_adjoint.is_product(project, axis, *args)


def newton(
    step: Callable[..., Any], length: int, constants: Tree, state: State, slots: Tree,
    axis_name: str | None = None,
) -> tuple[Tree, Tree]:  # fmt: skip
    """All states ``(T, *batch, N)`` of ``h = step(constants, h, slot)`` at once, by Newton's method, and the
    one before them.

    ``state (*batch, N)``, slots with the time leading. Where the devices of an axis hold consecutive pieces,
    ``state`` is that before the first one. JAX alone has the derivatives that it needs.
    """
    from memcore.backend import jax_chain, jax_newton

    chain = jax_chain.Chain(axis_name)
    states = jax_newton.newton(step, length, chain, constants, state, slots)
    return states, chain.before(state, states[-1])
