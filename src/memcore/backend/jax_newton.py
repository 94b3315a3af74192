"""All states of a nonlinear recurrence at once, by Newton's method over the whole sequence.

``h_t = f_t(h_{t-1})`` for all t is one equation in ``H = (h_0, ..., h_{T-1})``. From a guess, the
residual ``r_t = f_t(h_{t-1}) - h_t`` and the Jacobian ``J_t`` of each step are found for all t in
parallel, and the correction by a parallel prefix:

    d_t = J_t d_{t-1} + r_t,    h_t <- h_t + d_t

This is DEER (Lim et al., arXiv:2309.12252). With the diagonal of ``J_t`` in its place it is quasi-DEER,
and with a damping ``w`` quasi-ELK (Gonzalez et al., arXiv:2407.19115): the last iterate is an
observation of precision w, and a Kalman filter with unit process noise gives

    d_t = g_t (J_t d_{t-1} + r_t),    g_t = 1 / (1 + w (J_t^2 p_{t-1} + 1)),    p_t = g_t (J_t^2 p_{t-1} + 1)

Any of them has the sequential states as its only fixed point, and undamped makes one more of them exact
in each iteration, so T iterations suffice; where the recurrence forgets, a few do.

Where the devices of an axis hold consecutive pieces of the sequence (`Chain`), each iteration tells a piece
the last state of the one before it, and gathers an element of each for the prefix, and whether it is solved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import jax
import jax.numpy as jnp

from memcore.backend.jax_chain import Chain
from memcore.backend.jax_functions import broadcasting
from memcore.backend.jax_placement import common
from memcore.types import Array, Element, State, Tree

Step: TypeAlias = Callable[[Tree, Tree, Tree], Tree]
"""``h = step(constants, h, slot)`` with ``h (*batch, N)``."""

DENSE = 64
"""The largest N whose full Jacobians are used: they are N x N numbers for every step."""
ITERATIONS = 100
"""Where Newton has not converged by then, the fold is faster."""
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}
"""Of the residual and the last correction, relative to the state and the one before."""
BLOCK = 32
"""Columns of a Jacobian that are formed at a time where its diagonal is all that is kept."""
WHOLE = Chain()
"""A sequence on one device."""


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2))
@broadcasting
def newton(
    step: Step, length: int, chain: Chain, constants: Tree, state: State, slots: Tree
) -> Tree:
    """``(T, *batch, N)``: the states of the fold, which runs where Newton has not converged."""
    states, _, converged = solve(step, length, constants, state, slots, chain)

    def fold(state: State) -> Tree:
        def body(h: Array, slot: Tree) -> Tree:
            h = step(constants, h, slot)
            return h, h

        return jax.lax.scan(body, state, slots, length=length)[1]

    return jax.lax.cond(converged, lambda: states, lambda: chain.in_turn(fold, state))


@broadcasting
def _forward(
    step: Step, length: int, chain: Chain, constants: Tree, state: State, slots: Tree
) -> Tree:
    states = newton(step, length, chain, constants, state, slots)
    return states, (constants, state, slots, states)


@broadcasting
def _backward(step: Step, length: int, chain: Chain, residuals: Tree, cotangent: Tree) -> Tree:
    """The cotangents of the states are a recurrence too, backwards in time: solved as the states are."""
    constants, state, slots, states = residuals
    previous, back = chain.shift(state, states), chain.reversed
    # The last step has none behind it; its own stands there, and meets the zeros of the beginning.
    following = jax.tree.map(lambda x: back.shift(x[-1], jnp.flip(x, axis=0)), (previous, slots))
    backwards, zeros = (jnp.flip(cotangent, axis=0), *following), jnp.zeros_like(state)
    adjoint = jnp.flip(newton(Adjoint(step), length, back, constants, zeros, backwards), axis=0)
    _, pull = jax.vjp(jax.vmap(step, (None, 0, 0)), constants, previous, slots)
    constants, previous, slots = pull(adjoint)
    return constants, jnp.where(chain.index == 0, previous[0], zeros), slots


newton.defvjp(_forward, _backward)


@dataclass(frozen=True)
class Adjoint:
    """``a_t = g_t + (d h_{t+1} / d h_t)^T a_{t+1}``, as a step backwards in time."""

    step: Step

    def __call__(self, constants: Tree, adjoint: Tree, slot: Tree) -> Tree:
        cotangent, state, following = slot
        _, pull = jax.vjp(lambda h: self.step(constants, h, following), state)
        return cotangent + pull(adjoint)[0]


def solve(
    step: Step, length: int, constants: Tree, state: State, slots: Tree, chain: Chain = WHOLE
) -> tuple[Tree, Tree, Tree]:
    """The iteration alone: ``(states, iterations, converged)``."""
    trial = jnp.broadcast_to(state, (length, *state.shape))
    tolerance = TOLERANCE[state.dtype.name]
    dense = state.shape[-1] <= DENSE
    zero = jnp.zeros((), state.dtype)

    def linearise(states: State) -> tuple[Tree, Tree, Tree]:
        after, jvp = jax.linearize(
            lambda h: jax.vmap(step, (None, 0, 0))(constants, h, slots), chain.shift(state, states)
        )
        residual = after - states
        return states, residual, (_jacobian if dense else _diagonal)(jvp, residual)

    def iterate(carry: Tree) -> Tree:
        trial, best, size, damping, count, _ = carry
        point = linearise(trial)
        # As Levenberg and Marquardt do: a step that makes the residual larger is taken back and damped.
        # No squares: small cotangents would vanish.
        size_here = chain.mean(jnp.mean(jnp.abs(point[1])))
        better = size_here < size
        damping = jnp.where(better, _less(damping), _more(damping))
        best = jax.tree.map(lambda a, b: jnp.where(better | (count == 0), a, b), point, best)
        states, residual, jacobian = best
        solvers = (partial(_damped, chain=chain), partial(_undamped, chain=chain))
        change = jax.lax.cond(damping > 0, *solvers, jacobian, residual, damping)
        trial = states + change
        # Of the two states that a step is between, not of all: neither a part that ran away nor another
        # sequence of the row, however large, may excuse what is not solved.
        largest = jnp.max(jnp.abs(trial), axis=-1)
        scale = jnp.maximum(largest, chain.shift(jnp.max(jnp.abs(state), axis=-1), largest))
        error = jnp.max(jnp.maximum(jnp.abs(change), jnp.abs(residual)), axis=-1)
        # Never so for a NaN; and a damped change may be small far from the solution.
        converged = chain.all(jnp.all(error <= tolerance * scale)) & (damping == 0)
        trial = jnp.where(jnp.isfinite(trial), trial, states)
        return trial, best, jnp.where(better, size_here, size), damping, count + 1, converged

    def unfinished(carry: Tree) -> Tree:
        return (carry[4] < min(length * chain.count + 1, ITERATIONS)) & ~carry[5]

    best = jax.tree.map(jnp.zeros_like, jax.eval_shape(linearise, trial))
    start = common((trial, best, zero + jnp.inf, zero, jnp.int32(0), jnp.bool(False)))
    trial, _, _, _, count, converged = jax.lax.while_loop(unfinished, iterate, start)
    return trial, count, converged


def _more(damping: Tree) -> Tree:
    return jnp.clip(10 * damping, 0.1, 1e3)


def _less(damping: Tree) -> Tree:
    return jnp.where(damping < 0.1, jnp.zeros_like(damping), damping / 10)


def _jacobian(jvp: Callable[[Tree], Tree], like: Array) -> Tree:
    """``(T, *batch, N, N)``"""
    basis = jnp.eye(like.shape[-1], dtype=like.dtype)
    columns = jax.vmap(lambda unit: jvp(jnp.zeros_like(like) + unit))(basis)
    return jnp.moveaxis(columns, 0, -1)


def _diagonal(jvp: Callable[[Tree], Tree], like: Array) -> Tree:
    """``(T, *batch, N)``"""
    size = like.shape[-1]

    def entry(i: Array) -> Tree:
        unit = (jnp.arange(size) == i).astype(like.dtype)
        return jnp.take(jvp(jnp.zeros_like(like) + unit), i, axis=-1)

    return jnp.moveaxis(jax.lax.map(entry, jnp.arange(size), batch_size=BLOCK), 0, -1)


def _undamped(jacobian: Tree, residual: Tree, damping: Tree, chain: Chain = WHOLE) -> Tree:
    """DEER, or quasi-DEER where ``jacobian`` is a diagonal."""
    zero = jnp.zeros_like(residual[0])
    if jacobian.ndim == residual.ndim:
        prefixes = jax.lax.associative_scan(_diagonals, (jacobian, residual))
        return chain.follow(_diagonals, prefixes, (zero + 1, zero))[1]

    def compose(a: Array, b: Array) -> Tree:
        (first, d), (then, e) = a, b
        return then @ first, (then @ d[..., None])[..., 0] + e

    prefixes = jax.lax.associative_scan(compose, (jacobian, residual))
    identity = jnp.zeros_like(jacobian[0]) + jnp.eye(jacobian.shape[-1], dtype=jacobian.dtype)
    return chain.follow(compose, prefixes, (identity, zero))[1]


def _damped(jacobian: Tree, residual: Tree, damping: Tree, chain: Chain = WHOLE) -> Tree:
    """Quasi-ELK."""
    if jacobian.ndim > residual.ndim:
        jacobian = jnp.diagonal(jacobian, axis1=-2, axis2=-1)
    gain, zero = _gain(jacobian**2, damping, chain), jnp.zeros_like(residual[0])
    prefixes = _doubling(_diagonals, (gain * jacobian, gain * residual))
    return chain.follow(_diagonals, prefixes, (zero + 1, zero))[1]


def _diagonals(first: Array, then: Tree) -> Tree:
    return then[0] * first[0], then[0] * first[1] + then[1]


def _doubling(compose: Callable[[Tree, Tree], Tree], elements: Element) -> Tree:
    """All prefixes, in log2 T rounds of one loop: more work than ``associative_scan``, which unrolls
    its rounds and takes seconds to compile; for what runs now and then."""
    length = jax.tree.leaves(elements)[0].shape[0]

    def double(i: Array, prefixes: Tree) -> Tree:
        reach = 2**i
        behind = jax.tree.map(lambda leaf: jnp.roll(leaf, reach, axis=0), prefixes)
        has = jnp.arange(length) >= reach

        def leaf(both: Tree, alone: Tree) -> Tree:
            return jnp.where(has.reshape(-1, *(1,) * (alone.ndim - 1)), both, alone)

        return jax.tree.map(leaf, compose(behind, prefixes), prefixes)

    return jax.lax.fori_loop(0, (length - 1).bit_length(), double, elements)


def _gain(square: Array, damping: Tree, chain: Chain) -> Tree:
    """``g`` of the Kalman filter by a parallel prefix: ``p_t`` is a Moebius map of ``p_{t-1}``.

    ``p_t = (J^2 p + 1) / (w J^2 p + 1 + w)``; maps ``(a p + b) / (c p + 1)`` compose to the same form.
    """

    def compose(first: Array, then: Tree) -> Tree:
        (a, b, c), (x, y, z) = first, then
        scale = 1 / (z * b + 1)
        return scale * (x * a + y * c), scale * (x * b + y), scale * (z * a + c)

    scale = 1 / (1 + damping)
    maps = (scale * square, jnp.zeros_like(square) + scale, scale * damping * square)
    zero = jnp.zeros_like(square[0])
    prefixes = chain.follow(compose, _doubling(compose, maps), (zero + 1, zero, zero))
    _, variance, _ = prefixes  # of the beginning, which is known: p = 0
    return 1 / (1 + damping * (square * chain.shift(zero, variance) + 1))
