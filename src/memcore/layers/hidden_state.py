"""Cells whose state and outputs are vectors of `hidden_size`, and of these the gated ones with heads."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore import nn
from memcore.backend import as_draw, cast, namespace
from memcore.cell import Cell, GatedCell
from memcore.fields import count
from memcore.layers.head_wise import check_heads, head_wise, init_head_wise
from memcore.nn import wide
from memcore.types import Array, Dtype, Inputs, Key, Params, Reads, State


@dataclass(frozen=True)
class HiddenState(Cell):
    """The state is a vector ``(hidden_size,)`` that begins as zero, and is the output."""

    hidden_size: int = count(64)

    @property
    def out_features(self) -> int:
        return self.hidden_size

    def initial_state(self, params: Params) -> State:
        return np.zeros(self.hidden_size)


@dataclass(frozen=True)
class HeadWiseCell(HiddenState, GatedCell):
    """Inputs ``W x_t + b`` and ``U h_{t-1} (+ c)`` for all gates side by side, U in a block per head
    (arXiv:2412.07752), drawn as in ``torch.nn.GRU``."""

    heads: int = count(1)

    gates: ClassVar[int] = 1
    """How many vectors of ``hidden_size`` the products give."""
    hidden_bias: ClassVar[bool] = False
    """Whether there is a c."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.heads, self.hidden_size)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n, gates = as_draw(key, dtype), self.hidden_size, self.gates
        return {
            "input": nn.uniform_affine(
                draw, "input", self.in_features, gates * n, 1 / math.sqrt(n)
            ),
            "hidden": init_head_wise(draw, "hidden", n, gates, self.heads, self.hidden_bias),
        }

    def hidden(self, state: State) -> Array:
        """h in the state."""
        return state

    def embed(self, params: Params, x: Array) -> Inputs:
        return wide(nn.linear(params["input"], x))

    def project(self, params: Params, state: State, inputs: Inputs) -> Array:
        return head_wise(params["hidden"], self.hidden(state))

    @property
    def enters(self) -> bool:
        own = type(self).embed, type(self).project  # others may add up to something else
        # Of fewer gates the product is too narrow: Elman was 1.1 times as fast with steps embedded at once.
        return (
            self.gates >= 4
            and self.heads == 1
            and own == (HeadWiseCell.embed, HeadWiseCell.project)
        )

    def enter(self, params: Params, state: State, x: Array) -> Array:
        xp, h = namespace(x), self.hidden(state)
        w, u = params["input"], params["hidden"]
        kernel = xp.concat([cast(p["kernel"], x.dtype) for p in (w, u)], axis=0)
        bias = sum(cast(p["bias"], x.dtype) for p in (w, u) if "bias" in p)
        return nn.linear({"kernel": kernel, "bias": bias}, xp.concat([x, h], axis=-1))

    def read(self, params: Params, state: State, inputs: Inputs) -> Reads:
        return self.hidden(state)
