"""Gated Recurrent Unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, GatedCell, Inputs, Key, Params, State
from memcore.fields import count
from memcore.nn import wide
from memcore.registry import register
from memcore.types import Dtype


@register("gru")
@dataclass(frozen=True)
class GRU(GatedCell):
    """The GRU of ``torch.nn.GRU`` and cuDNN: the reset gate acts after the recurrent matrix.

        r = sigmoid(W_r x_t + b_r + U_r h_{t-1} + c_r)
        z = sigmoid(W_z x_t + b_z + U_z h_{t-1} + c_z)
        n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + c_n))
        h_t = (1 - z) * n + z * h_{t-1},    y_t = h_t

    State: ``(hidden_size,)``. Cost per step ``O(hidden_size * (in_features + hidden_size))``;
    sequential in time. Kernels hold the gates in the order r, z, n, so torch's weights transfer as
    ``input.kernel = weight_ih.T``, ``input.bias = bias_ih``, ``hidden.kernel = weight_hh.T``,
    ``hidden.bias = bias_hh``.

    Source: Cho et al., arXiv:1406.1078; the reset-after form of Chung et al., arXiv:1412.3555.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
    """

    hidden_size: int = count(64)

    @property
    def out_features(self) -> int:
        return self.hidden_size

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n = as_draw(key, dtype), self.hidden_size
        return {
            "input": nn.uniform_affine(draw, "input", self.in_features, 3 * n, 1 / math.sqrt(n)),
            "hidden": nn.uniform_affine(draw, "hidden", n, 3 * n, 1 / math.sqrt(n)),
        }

    def initial_state(self, params: Params) -> State:
        return np.zeros(self.hidden_size)

    def embed(self, params: Params, x: Array) -> Inputs:
        return wide(nn.linear(params["input"], x))

    def project(self, params: Params, state: State) -> Array:
        return nn.linear(params["hidden"], state)

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        xp, n = namespace(state), self.hidden_size
        r = nn.sigmoid(inputs[..., :n] + hidden[..., :n])
        z = nn.sigmoid(inputs[..., n : 2 * n] + hidden[..., n : 2 * n])
        new = xp.tanh(inputs[..., 2 * n :] + r * hidden[..., 2 * n :])
        return (1.0 - z) * new + z * state
