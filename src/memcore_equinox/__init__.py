"""Equinox modules of memcore's models: ``Memory(model, key=key)`` wraps any of them."""

from __future__ import annotations

import memcore
from memcore.cell import Array, Model, Params, State
from memcore.types import Key

try:
    import equinox as eqx
    import jax
    import jax.numpy as jnp
except ImportError as error:
    raise ImportError('memcore_equinox needs equinox: pip install "memcore[equinox]"') from error

__all__ = ["Memory"]


class Memory(eqx.Module):
    """A model and its parameters as one module.

    Args:
        model: any `memcore.Model`.
        key: draws the parameters; this or ``params``.
        params: the core's dict of parameters, from ``model.init``, `memcore.load` or another
            framework; this or ``key``.

    Attributes:
        model: the model; static.
        params: the core's dict of parameters: leaves to ``jax.grad``, optax, `eqx.tree_at`.
    """

    model: Model = eqx.field(static=True)
    params: Params

    def __init__(self, model: Model, *, key: Key = None, params: Params | None = None) -> None:
        if (key is None) == (params is None):
            raise TypeError("Memory takes a key or params: expected exactly one of them")
        self.model = model
        self.params = jax.tree.map(jnp.asarray, model.init(key) if params is None else params)

    def __call__(
        self,
        xs: Array,
        state: State = None,
        *,
        starts: Array = None,
        valid: Array = None,
        method: str = "auto",
        chunk_size: int | None = None,
        key: Key = None,
    ) -> tuple[State, Array]:
        """Run over ``xs (..., T, in_features)``: ``(state, ys)``, as `memcore.Model.apply` does.

        ``starts`` and ``valid`` are ``(..., T)`` bool; ``key`` is for dropout, None means none.
        """
        return self.model.apply(
            self.params, xs, state,
            starts=starts, valid=valid, method=method, chunk_size=chunk_size, key=key,
        )  # fmt: skip

    def initial_state(self, batch_shape: tuple[int, ...] = ()) -> State:
        """The state before the first input: leaves ``(*batch_shape, *leaf)``."""
        return memcore.initial_state(self.model, self.params, batch_shape)

    def step(self, state: State, x: Array, *, start: Array = None) -> tuple[State, Array]:
        """One time step, as `memcore.step`: ``x (..., in_features)``, ``start (...)`` bool."""
        return memcore.step(self.model, self.params, state, x, start=start)
