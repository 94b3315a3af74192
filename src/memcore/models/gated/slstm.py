"""The sLSTM of the xLSTM."""

from __future__ import annotations

import math
from dataclasses import dataclass

from memcore.backend import as_draw
from memcore.cell import Key, Params
from memcore.layers.exponential_gates import ExponentialGates
from memcore.registry import register
from memcore.types import Dtype


@register("slstm")
@dataclass(frozen=True)
class SLSTM(ExponentialGates):
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

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n, width = as_draw(key, dtype), self.hidden_size, self.in_features
        std = math.sqrt(2 / (5 * width))
        return {
            "input": {
                "kernel": draw.child("input").normal("kernel", (width, 4 * n), std),
                "bias": self.initial_bias(draw),
            },
            "hidden": self.initial_kernel(draw),
        }
