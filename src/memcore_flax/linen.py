"""Flax Linen modules: `Memory` runs a model over a sequence, `MemoryCell` is a cell of ``nn.RNN``."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.core import unfreeze

import memcore
from memcore.cell import Array, Model, State
from memcore.types import Dtype, Key

__all__ = ["Memory", "MemoryCell"]


class _Parametrised(nn.Module):
    """Holds ``variables["params"]["memory"]``, the core's dict, unfrozen on the way to the core."""

    model: Model
    param_dtype: Dtype = "float32"

    def setup(self) -> None:
        self.memory = self.param("memory", self.model.init, self.param_dtype)

    def step(self, state: State, x: Array, *, start: Array = None) -> tuple[State, Array]:
        """One time step, as `memcore.step`: ``x (..., in_features)``, ``start (...)`` bool."""
        return memcore.step(self.model, unfreeze(self.memory), unfreeze(state), x, start=start)


class Memory(_Parametrised):
    """Any `memcore.Model` over a sequence; with dropout where ``apply`` has the rng ``"dropout"``."""

    def __call__(
        self, xs: Array, state: State = None, *, starts: Array = None, valid: Array = None,
        method: str = "auto", chunk_size: int | None = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """``(state, ys)`` as `memcore.Model.apply`; ``xs (..., T, in_features)``, flags ``(..., T)``."""
        key = self.make_rng("dropout") if self.has_rng("dropout") else None
        return self.model.apply(
            unfreeze(self.memory), xs, unfreeze(state),
            starts=starts, valid=valid, method=method, chunk_size=chunk_size, key=key,
        )  # fmt: skip

    def initial_state(self, batch_shape: tuple[int, ...] = ()) -> State:
        """The state before the first input: leaves ``(*batch_shape, *leaf)``."""
        return memcore.initial_state(self.model, unfreeze(self.memory), batch_shape)


class MemoryCell(_Parametrised, nn.RNNCellBase):
    """Any `memcore.Model` as the cell of an ``nn.RNN``.

    The carry is ``{"state": leaves (*batch, *leaf), "start": (*batch,) bool}``: where ``start`` is
    set, the next step begins with the initial state, which may be held by the parameters.
    """

    def __call__(self, carry: State, x: Array, *, start: Array = None) -> tuple[State, Array]:
        """``(carry, y)`` of ``x (*batch, in_features)``; ``start (*batch,)`` bool begins anew."""
        before, begin = unfreeze(carry["state"]), carry["start"]
        after, y = self.step(before, x, start=begin if start is None else begin | start)
        after = jax.tree.map(lambda new, old: new.astype(old.dtype), after, before)
        return {"state": after, "start": jnp.zeros_like(begin)}, y

    @nn.nowrap
    def initialize_carry(self, rng: Key, input_shape: tuple[int, ...]) -> State:
        """Zeros, as the parameters are not known here, and ``start`` true; ``rng`` is not used."""
        batch = tuple(input_shape[: len(input_shape) - self.num_feature_axes])
        memory = Memory(self.model, self.param_dtype, parent=None)
        start = partial(memory.init_with_output, batch_shape=batch, method="initial_state")
        shapes, _ = jax.eval_shape(start, jax.random.key(0))
        state = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
        return {"state": state, "start": jnp.ones(batch, bool)}

    @property
    def num_feature_axes(self) -> int:
        """1, or 0 for a model of tokens."""
        return self.model.input_ndim
