"""The short causal convolution in front of a memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore.backend import as_draw, namespace
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count, flag
from memcore.ops.rule import RuleCell
from memcore.ops.window.causal_convolution import CausalConvolution


@dataclass(frozen=True)
class ShortConvolution(RuleCell):
    """Causal depthwise convolution over the last ``conv_size`` inputs, with or without a bias.

    State: the last ``conv_size - 1`` inputs and which of them are filled.

    Args:
        in_features: number of channels.
        conv_size: W, the current input included.
        bias: whether a bias is added.
    """

    conv_size: int = count(4, least=2)
    bias: bool = flag(False)

    @property
    def rule(self) -> CausalConvolution:
        return CausalConvolution(length=self.conv_size - 1)

    def init(self, key: Key, dtype: str = "float32") -> Params:
        draw, bound = as_draw(key, dtype), 1 / math.sqrt(self.conv_size)
        shape = (self.conv_size, self.in_features)
        params = {"kernel": draw.uniform("kernel", shape, -bound, bound)}
        if self.bias:
            params["bias"] = draw.uniform("bias", shape[1:], -bound, bound)
        return params

    def initial_state(self, params: Params) -> State:
        window = self.conv_size - 1
        return np.zeros((window, self.in_features)), np.zeros(window, dtype=bool)

    def embed(self, params: Params, x: Array) -> Inputs:
        kernel = params["kernel"]
        lead = (1,) * (x.ndim - 1)
        return {"x": x, "kernel": namespace(kernel).reshape(kernel, (*lead, *kernel.shape))}

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        if "bias" not in params:
            return read
        return read + namespace(read).astype(params["bias"], read.dtype, copy=False)
