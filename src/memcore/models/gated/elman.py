"""The simple recurrent network of Elman."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, GatedCell, Inputs, Key, Params, State
from memcore.fields import choice, count
from memcore.layers.head_wise import check_heads, head_wise, init_head_wise
from memcore.nn import wide
from memcore.registry import register
from memcore.types import Dtype


@register("elman")
@dataclass(frozen=True)
class Elman(GatedCell):
    """A recurrent network without gates.

        h_t = f(W x_t + b + U h_{t-1}),    y_t = h_t,    f = tanh or relu

    State: ``(hidden_size,)``. Cost per step ``O(hidden_size * (in_features + hidden_size))``; sequential in
    time. The weights of ``torch.nn.RNN`` transfer as ``input.kernel = weight_ih.T``,
    ``hidden.kernel = weight_hh.T`` and ``input.bias = bias_ih + bias_hh``.

    Source: Elman, Finding Structure in Time, Cognitive Science 14(2), 1990; initial values as in
    ``torch.nn.RNN``.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
        activation: f.
        heads: parts of the state that do not see each other: U in blocks (arXiv:2412.07752).
    """

    hidden_size: int = count(64)
    activation: str = choice("tanh", "tanh", "relu")
    heads: int = count(1)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.heads, self.hidden_size)

    @property
    def out_features(self) -> int:
        return self.hidden_size

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n = as_draw(key, dtype), self.hidden_size
        return {
            "input": nn.uniform_affine(draw, "input", self.in_features, n, n**-0.5),
            "hidden": init_head_wise(draw, "hidden", n, 1, self.heads),
        }

    def initial_state(self, params: Params) -> State:
        return np.zeros(self.hidden_size)

    def embed(self, params: Params, x: Array) -> Inputs:
        return wide(nn.linear(params["input"], x))

    def project(self, params: Params, state: State, inputs: Inputs) -> Array:
        return head_wise(params["hidden"], state)

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        total = inputs + hidden
        return nn.relu(total) if self.activation == "relu" else namespace(total).tanh(total)
