"""A fold of a gated cell, of whose gradient only the adjoints of the states are found step by step.

Differentiated as it stands, a fold keeps what it computed at every step, and adds to the gradient of every
parameter at every step: for a cell of few sequences that moves more memory than all its sums. Here the
parameters meet the state in one product, ``z_t = project(params, h_{t-1})``, and the fold keeps its states
and these; where the update reads them by ``u_t + z_t`` alone, that in place of both. The fold backwards in
time makes each update's derivatives anew and writes the adjoints over what was kept, so that no other array
has all steps; the gradients of parameters and inputs are made for all steps after it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from memcore.backend.jax_folds import before, fold_in_place, fold_of_chunks, slot_of, where
from memcore.backend.jax_functions import broadcasting
from memcore.types import Params, State, Tree

Function: TypeAlias = Callable[..., Any]
Functions: TypeAlias = tuple[Function, Function, Function, Function | None]
"""``z = project(still, moving, rest, params, h)`` and ``h = update(still, moving, rest, h, z)``; the
inputs that move, of what was not embedded: ``moving = embed(params, xs)``; and None or, of a single step, the
sum of ``moving`` and ``z`` by one product, ``enter(params, h, x)``."""

WIDE = 64
"""Of states so wide no copies were found, of 33 to 40 and of fewer they were; 48 and 56 have none either."""


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
@broadcasting
def states(functions: Functions, axis: int, at_once: int, *args: Tree) -> Tree:
    """The state after each step; time at ``axis``, behind the batch. ``args`` are ``params, state, still,
    moving, rest, starts, initial, xs``: given ``xs`` the fold makes ``moving`` of these, ``at_once`` steps at
    a time, or only the sums that `Functions` says. With a gradient it does so where it keeps no more than the
    sum of what moves and what was projected; the steps that are embedded at once are so then."""
    if functions[3] is not None and not _adds(functions, axis, *args[:5]):
        functions = (*functions[:3], None)
    return _states(functions, axis, at_once, lambda moving, z: None, *args)[0]


def _states(
    functions: Functions, axis: int, at_once: int, keep: Callable[[Tree, Tree], Tree], *args: Tree
) -> Tree:
    """The state after each step, and what to ``keep`` of what entered it."""
    project, update, embed, enter = functions
    params, state, still, moving, rest, starts, initial, xs = args

    def body(constants: Tree, h: Tree, slot: Tree) -> Tree:
        (params, still, initial), (moving, rest, start) = constants, slot
        h = where(start, initial, h)
        z = project(still, moving, rest, params, h)
        h = update(still, moving, rest, h, z)
        return h, (h, keep(moving, z))

    def made(constants: Tree, slots: Tree) -> Tree:
        xs, *others = slots
        return (embed(constants[0], xs), *others)

    constants = (params, _drop(still, axis), initial)
    if xs is not None and enter is not None:
        body = _entering(enter, update, keep, jax.tree.structure(moving))
        return fold_in_place(body, constants, state, (xs, rest, starts), axis)[1]
    if xs is None:
        slots = (moving, rest, starts)
        return fold_in_place(body, constants, state, slots, axis, ahead=True)[1]
    return fold_of_chunks(made, body, constants, state, (xs, rest, starts), axis, at_once)[1]


def _entering(
    enter: Function, update: Function, keep: Callable[[Tree, Tree], Tree], moving: Tree
) -> Function:
    """A step that makes what enters the update by one product, in the structure of what is ``moving``."""

    def body(constants: Tree, h: Tree, slot: Tree) -> Tree:
        (params, still, initial), (x, rest, start) = constants, slot
        h = where(start, initial, h)
        z = enter(params, h, x)
        both, nothing = moving.unflatten(jax.tree.leaves(z)), jax.tree.map(jnp.zeros_like, z)
        h = update(still, both, rest, h, nothing)
        return h, (h, keep(both, nothing))

    return body


def _drop(still: Tree, axis: int) -> Tree:
    """What does not move, as a step sees it: without its time of length 1."""
    return jax.tree.map(lambda x: jnp.squeeze(x, axis), still)


@broadcasting
def _forward(functions: Functions, axis: int, at_once: int, *args: Tree) -> Tree:
    *given, xs = args  # the gradient by what was embedded is that by moving and still
    params, state, still, moving, rest, starts, initial = given
    if _adds(functions, axis, params, state, still, moving, rest):
        own = functions if at_once == 1 else (*functions[:3], None)
        after, entered = _states(own, axis, at_once, _sum, *given, xs)
        return after, ((params, state, still, entered, rest, starts, initial), after, None)
    after, z = _states(functions, axis, 1, lambda moving, z: z, *given, None)
    return after, (given, after, z)


def _sum(moving: Tree, z: Tree) -> Tree:
    """``moving + z``, leaf by leaf."""
    leaves, structure = jax.tree.flatten(moving)
    return structure.unflatten([u + v for u, v in zip(leaves, jax.tree.leaves(z), strict=True)])


@broadcasting
def _backward(
    functions: Functions, axis: int, at_once: int, residuals: Tree, cotangents: Tree
) -> Tree:
    project, update = functions[:2]
    (params, state, still, moving, rest, starts, initial), after, z = residuals
    adds = z is None  # ``moving`` is the sum of both
    fresh = jax.tree.map(lambda h: jnp.expand_dims(h, axis), initial)
    given = where(starts, fresh, before(state, after, axis))

    def body(constants: Tree, carry: Tree, slot: Tree) -> Tree:
        (params, still), (dh, dinitial, dstill) = constants, carry
        (g, rest, h, start), (moving, z) = slot
        like, unproject = jax.vjp(partial(project, still, moving, rest, params), h)
        z = jax.tree.map(jnp.zeros_like, like) if adds else z
        _, pull = jax.vjp(lambda s, u, *hz: update(s, u, rest, *hz), still, moving, h, z)
        more, dmoving, dh, dz = pull(jax.tree.map(jnp.add, g, dh))
        dh, dstill = jax.tree.map(jnp.add, (dh, dstill), (unproject(dz)[0], more))
        if start is not None:
            nothing = jax.tree.map(jnp.zeros_like, dh)
            dinitial = jax.tree.map(jnp.add, dinitial, where(start, dh, nothing))
            dh = where(start, nothing, dh)
        return (dh, dinitial, dstill), (dmoving, None if adds else dz)

    zeros, one = jax.tree.map(jnp.zeros_like, state), _drop(still, axis)
    carry = (zeros, None if starts is None else zeros, jax.tree.map(jnp.zeros_like, one))
    slots = ((cotangents, rest, given, starts), (moving, z))
    (dstate, dinitial, dstill), (dmoving, dz) = fold_in_place(
        body, (params, one), carry, slots, axis, reverse=True, over=adds or _is_wide(state)
    )
    dstill = jax.tree.map(lambda d: jnp.expand_dims(d, axis), dstill)
    like, pull = jax.vjp(lambda s, p: project(s, moving, rest, p, given), still, params)
    dz = jax.tree.structure(like).unflatten(jax.tree.leaves(dmoving)) if adds else dz
    projected, dparams = pull(dz)
    dstill = jax.tree.map(jnp.add, dstill, projected)
    return dparams, dstate, dstill, dmoving, None, None, dinitial, None


def _is_wide(state: State) -> bool:
    """Whether the fold may write over what it reads: XLA for CPUs makes products of narrower states part of
    other loops, which read a step once more, and then it copies all steps at every one."""
    widths = [leaf.shape[-1] for leaf in jax.tree.leaves(state) if leaf.ndim]
    return max(widths, default=0) >= WIDE


def _adds(
    functions: Functions,
    axis: int,
    params: Params,
    state: State,
    still: Tree,
    moving: Tree,
    rest: Tree,
) -> bool:
    """Whether the update reads what moves and what was projected by their sums alone, leaf by leaf."""
    project, update = functions[:2]
    moved, others = slot_of((moving, rest), 0, axis)
    args = (_drop(still, axis), moved, others)
    z = jax.eval_shape(project, *args, params, state)

    def one(moved: Tree, z: Tree, still: Tree, rest: Tree, h: State) -> Tree:
        return update(still, moved, rest, h, z)

    traced = jax.make_jaxpr(one)(moved, z, args[0], others, state).jaxpr
    count = len(jax.tree.leaves(moved))
    if count != len(jax.tree.leaves(z)):
        return False
    for pair in zip(traced.invars[:count], traced.invars[count : 2 * count], strict=True):
        both = {id(v) for v in pair}
        users = [eqn for eqn in traced.eqns if both & {id(v) for v in eqn.invars}]
        together = len(users) == 1 and both == {id(v) for v in users[0].invars}
        if not together or users[0].primitive is not jax.lax.add_p or both & _ids(traced.outvars):
            return False
        if pair[0].aval.shape != pair[1].aval.shape:  # one is repeated
            return False
    return True


def _ids(variables: Tree) -> set[int]:
    return {id(v) for v in variables}


def is_product(
    project: Callable[..., Any], axis: int, params: Params, state: State, still: Tree, moving: Tree,
    rest: Tree,
) -> bool:  # fmt: skip
    """Whether all that ``project`` gives is made of the state, some of it by products of matrices, and
    nothing of ``moving``."""
    moved, others = slot_of((moving, rest), 0, axis)

    def one(moving: Tree, h: State, still: Tree, rest: Tree, params: Params) -> Tree:
        return project(still, moving, rest, params, h)

    traced = jax.make_jaxpr(one)(moved, state, _drop(still, axis), others, params).jaxpr
    count, states = len(jax.tree.leaves(moved)), len(jax.tree.leaves(state))
    read = {id(v) for v in traced.invars[:count]}
    made, multiplied = {id(v) for v in traced.invars[count : count + states]}, False
    for eqn in traced.eqns:
        if any(id(v) in read for v in eqn.invars):
            return False
        if any(id(v) in made for v in eqn.invars):
            made |= {id(v) for v in eqn.outvars}
            multiplied |= "dot_general" in str(eqn)  # in an inner program too
    return multiplied and all(id(v) in made for v in traced.outvars)


states.defvjp(_forward, _backward)
