"""A fold whose gradient by the parameters is made for all steps at once.

Differentiated as it stands, a fold adds to the gradient of every parameter at every step: for a cell of few
sequences that moves more memory than all its sums. Here the parameters meet the state in one product,
``z_t = project(params, h_{t-1})``; the fold backwards in time finds the adjoints of all ``z_t``, and the
parameters' gradient is that of one product of all steps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from memcore.types import Array, Params, State, Tree

Functions: TypeAlias = tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]
"""``h = enter(rest, h, slot)``, ``z = project(params, h)``, ``h = update(rest, h, slot, z)``."""


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def states(
    functions: Functions, length: int, params: Params, rest: Tree, state: State, slots: Tree
) -> Tree:
    """The state after each step, time leading."""
    return _fold(functions, length, params, rest, state, slots, None)


def _fold(
    functions: Functions,
    length: int,
    params: Params,
    rest: Tree,
    state: State,
    slots: Tree,
    added: Tree,
) -> Tree:
    enter, project, update = functions

    def body(h: Array, slot: Tree) -> Tree:
        slot, more = slot
        h = enter(rest, h, slot)
        z = project(params, h)
        h = update(rest, h, slot, z if more is None else jax.tree.map(jnp.add, z, more))
        return h, h

    return jax.lax.scan(body, state, (slots, added), length=length)[1]


def _forward(
    functions: Functions, length: int, params: Params, rest: Tree, state: State, slots: Tree
) -> Tree:
    # What is added to every z is nothing; its gradient is the adjoint of z.
    z = functions[1](params, state)  # for its type alone: where it lies, not only its shape
    nothing = jax.tree.map(lambda x: jnp.zeros_like(jnp.broadcast_to(x, (length, *x.shape))), z)
    after, pull = jax.vjp(partial(_fold, functions, length, params), rest, state, slots, nothing)
    return after, (params, rest, state, slots, after, pull)


def _backward(functions: Functions, length: int, residuals: Tree, cotangent: Tree) -> Tree:
    enter, project, _ = functions
    params, rest, state, slots, after, pull = residuals
    before = jax.tree.map(lambda h, hs: jnp.concat([h[None], hs[:-1]]), state, after)
    before = jax.vmap(enter, (None, 0, 0))(rest, before, slots)
    rest, state, slots, adjoints = pull(cotangent)
    _, pull = jax.vjp(lambda p: project(p, before), params)
    return *pull(adjoints), rest, state, slots


states.defvjp(_forward, _backward)
