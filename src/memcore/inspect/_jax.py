"""Jacobians by JAX."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from memcore.cell import Model
from memcore.types import Array, Params, Starts, State


@partial(jax.jit, static_argnums=0)
def jacobian_norms(model: Model, params: Params, xs: Array, starts: Starts, state: State) -> Array:
    """``(..., T, T)``: the norms of ``dy_t / dx_s``. Rows of a batch do not meet, so one pass serves all."""
    xs = jnp.asarray(xs)
    batch, length = xs.shape[: -model.input_ndim - 1], xs.shape[-model.input_ndim - 1]

    def run(xs: Array) -> Array:
        return model.apply(params, xs, state, starts=starts)[1]

    # An input that is no number reaches some outputs, which have no derivatives. On the way back it would
    # make NaN of the zeros that come from all the others too, so it is taken out there.
    read = run(xs)
    ys, pull = jax.vjp(run, jnp.where(jnp.isnan(xs), 0, xs))
    flat = jnp.reshape(jnp.zeros_like(ys), (*batch, length, -1))

    def of_number(t: Array, i: Array) -> Array:
        [gradient] = pull(jnp.reshape(flat.at[..., t, i].set(1), ys.shape))
        return jnp.sum(jnp.reshape(gradient, (*batch, length, -1)) ** 2, -1)

    def of_step(t: Array) -> Array:
        squares = jax.vmap(partial(of_number, t))(jnp.arange(flat.shape[-1]))
        return jnp.sqrt(jnp.sum(squares, 0))

    norms = jnp.moveaxis(jax.lax.map(of_step, jnp.arange(length)), 0, -2)
    lost = jnp.any(jnp.isnan(jnp.reshape(read, flat.shape)), -1)
    return jnp.where(lost[..., None], jnp.nan, norms)
