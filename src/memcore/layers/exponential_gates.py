"""The recurrence of the sLSTM, which its cell and its layer share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore import nn
from memcore.backend import Draw, as_draw, cast, namespace, parts
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.head_wise import kernel_shape
from memcore.layers.hidden_state import HeadWiseCell
from memcore.nn import wide
from memcore.types import Dtype


@dataclass(frozen=True)
class ExponentialGates(HeadWiseCell):
    """``(h, c, n, m)`` of an sLSTM (arXiv:2405.04517, section 2.2), its gates in the order i, f, z, o."""

    dear_update: ClassVar[bool] = True

    heads: int = count(4)

    def initial_bias(self, draw: Draw) -> Array:
        """The biases of i, f, z, o: those of f a power law within each head."""
        own = self.hidden_size // self.heads
        forget = 5.0 - 12.0 * (np.arange(own) / max(own - 1, 1)) ** 0.3
        bias = np.zeros((4, self.hidden_size))
        bias[1] = np.tile(forget, self.heads)
        return draw.array(bias.reshape(-1), label="bias")

    def initial_kernel(self, draw: Draw) -> Params:
        """R, zero."""
        return {"kernel": draw.zeros(kernel_shape(self.hidden_size, 4, self.heads))}

    def initial_state(self, params: Params) -> State:
        return tuple(np.zeros(self.hidden_size) for _ in range(4))

    def hidden(self, state: State) -> Array:
        return state[0]

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        _, c, n, m = state
        xp, (i, f, z, o) = namespace(c), parts(inputs + hidden, 4)
        empty, kept = n == 0, m - nn.softplus(-f)
        top = xp.where(empty, i, xp.maximum(kept, i))
        # Of an empty memory nothing is kept, and its exponent may be anything.
        keep = xp.exp(xp.where(empty, xp.zeros_like(m), kept - top))
        write = xp.exp(i - top)
        c, n = keep * c + write * xp.tanh(z), keep * n + write
        return nn.sigmoid(o) * c / n, c, n, top


@dataclass(frozen=True)
class GivenGates(ExponentialGates):
    """One whose inputs are its gates, but for their biases."""

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        return {"bias": self.initial_bias(draw), "hidden": self.initial_kernel(draw)}

    def embed(self, params: Params, x: Array) -> Inputs:
        x = wide(x)
        return x + cast(params["bias"], x.dtype)
