"""Flax NNX modules: `Memory` runs a model over a sequence, `MemoryCell` is a cell of ``nnx.RNN``."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import nnx

import memcore
from memcore.cell import Array, Model, Params, State

__all__ = ["Memory", "MemoryCell"]


class _Parametrised(nnx.Module):
    """Holds `nnx.Param` leaves: drawn from the stream ``params`` of ``rngs``, or given as ``params``."""

    def __init__(
        self, model: Model, *, rngs: nnx.Rngs | None = None, params: Params | None = None
    ) -> None:
        if (rngs is None) == (params is None):
            raise TypeError(f"{type(self).__name__} takes rngs or params: expected exactly one")
        params = model.init(rngs.params()) if rngs is not None else params
        self.model = model
        self.memory = nnx.data(jax.tree.map(lambda p: nnx.Param(jnp.asarray(p)), params))

    @property
    def params(self) -> Params:
        """The core's dict of parameters: plain arrays."""
        return jax.tree.map(
            lambda p: p[...], self.memory, is_leaf=lambda p: isinstance(p, nnx.Variable)
        )

    def initial_state(self, batch_shape: tuple[int, ...] = ()) -> State:
        """The state before the first input: leaves ``(*batch_shape, *leaf)``."""
        return memcore.initial_state(self.model, self.params, batch_shape)

    def step(self, state: State, x: Array, *, start: Array = None) -> tuple[State, Array]:
        """One time step, as `memcore.step`: ``x (..., in_features)``, ``start (...)`` bool."""
        return memcore.step(self.model, self.params, state, x, start=start)


class Memory(_Parametrised):
    """Any `memcore.Model` over a sequence; with dropout where the call is given ``rngs``."""

    def __call__(
        self, xs: Array, state: State = None, *, starts: Array = None, valid: Array = None,
        method: str = "auto", chunk_size: int | None = None, rngs: nnx.Rngs | None = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """``(state, ys)`` as `memcore.Model.apply`; ``xs (..., T, in_features)``, flags ``(..., T)``."""
        key = None if rngs is None else rngs.dropout()
        return self.model.apply(
            self.params, xs, state,
            starts=starts, valid=valid, method=method, chunk_size=chunk_size, key=key,
        )  # fmt: skip


class MemoryCell(_Parametrised, nnx.RNNCellBase):
    """Any `memcore.Model` as the cell of an ``nnx.RNN``.

    The carry is ``{"state": leaves (*batch, *leaf), "start": (*batch,) bool}``: where ``start`` is
    set, the next step begins with the initial state.
    """

    def __call__(self, carry: State, x: Array, *, start: Array = None) -> tuple[State, Array]:
        """``(carry, y)`` of ``x (*batch, in_features)``; ``start (*batch,)`` bool begins anew."""
        before, begin = carry["state"], carry["start"]
        after, y = self.step(before, x, start=begin if start is None else begin | start)
        after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, before)
        return {"state": after, "start": jnp.zeros_like(begin)}, y

    def initialize_carry(self, input_shape: tuple[int, ...], *_: object, **__: object) -> State:
        """The initial state, and ``start`` true; further arguments of NNX are not used."""
        batch = tuple(input_shape[: len(input_shape) - self.num_feature_axes])
        return {"state": self.initial_state(batch), "start": jnp.ones(batch, bool)}

    @property
    def num_feature_axes(self) -> int:
        """1, or 0 for a model of tokens."""
        return self.model.input_ndim
