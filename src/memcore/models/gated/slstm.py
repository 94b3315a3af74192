"""The sLSTM of the xLSTM."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import Draw, as_draw, namespace, parts
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.head_wise import kernel_shape
from memcore.layers.hidden_state import HeadWiseCell
from memcore.registry import register
from memcore.types import Dtype


@register("slstm")
@dataclass(frozen=True)
class SLSTM(HeadWiseCell):
    """An LSTM with exponential gates, a normaliser n and a stabiliser m.

        i, f, z, o = W x_t + b + R h_{t-1},   R in one block per head
        m_t = max(log sigmoid(f) + m_{t-1}, i),   where n_{t-1} is 0: m_t = i
        c_t = exp(log sigmoid(f) + m_{t-1} - m_t) c_{t-1} + exp(i - m_t) tanh(z)
        n_t = exp(log sigmoid(f) + m_{t-1} - m_t) n_{t-1} + exp(i - m_t)
        h_t = sigmoid(o) c_t / n_t,    y_t = h_t

    State: ``(h, c, n, m)``, each ``(hidden_size,)``. Cost per step
    ``O(hidden_size * (in_features + hidden_size / heads))``; sequential in time. Kernels hold the gates in
    the order i, f, z, o. n is at least 1 behind the first step, which each channel of each row decides by
    itself.

    Source: Beck et al., xLSTM, arXiv:2405.04517, section 2.2; initial values as in the authors' code
    (``NX-AI/xlstm``): R zero, the biases of f a power law within each head, kernels normal of variance
    ``2 / (5 in_features)``.

    Args:
        in_features: width of the inputs.
        hidden_size: width of h, c, n, m and the outputs.
        heads: parts of the state that do not see each other.
    """

    heads: int = count(4)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n, width = as_draw(key, dtype), self.hidden_size, self.in_features
        std = math.sqrt(2 / (5 * width))
        return {
            "input": {
                "kernel": draw.child("input").normal("kernel", (width, 4 * n), std),
                "bias": self._bias(draw),
            },
            "hidden": {"kernel": draw.zeros(kernel_shape(n, 4, self.heads))},
        }

    def _bias(self, draw: Draw) -> Array:
        own = self.hidden_size // self.heads
        forget = 5.0 - 12.0 * (np.arange(own) / max(own - 1, 1)) ** 0.3
        bias = np.zeros((4, self.hidden_size))
        bias[1] = np.tile(forget, self.heads)
        return draw.array(bias.reshape(-1), label="bias")

    def initial_state(self, params: Params) -> State:
        return tuple(np.zeros(self.hidden_size) for _ in range(4))

    def hidden(self, state: State) -> Array:
        return state[0]

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        _, c, n, m = state
        xp = namespace(c)
        i, f, z, o = parts(inputs + hidden, 4)
        empty, kept = n == 0, m - nn.softplus(-f)
        top = xp.where(empty, i, xp.maximum(kept, i))
        # Of an empty memory nothing is kept, and its exponent may be anything.
        keep = xp.exp(xp.where(empty, xp.zeros_like(m), kept - top))
        write = xp.exp(i - top)
        c, n = keep * c + write * xp.tanh(z), keep * n + write
        return nn.sigmoid(o) * c / n, c, n, top
