"""Long Short-Term Memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore import nn
from memcore.backend import namespace, parts
from memcore.cell import Array, Inputs, Params, State
from memcore.layers.candidate_dropout import CandidateDropout
from memcore.registry import register


@register("lstm")
@dataclass(frozen=True)
class LSTM(CandidateDropout):
    """The LSTM of ``torch.nn.LSTM`` and cuDNN: with forget gates, without peepholes.

        i, f, o = sigmoid(W x_t + b + U h_{t-1} + c),   each with matrices of its own
        g = tanh(W_g x_t + b_g + U_g h_{t-1} + c_g)
        c_t = f * c_{t-1} + i * g
        h_t = o * tanh(c_t),    y_t = h_t

    ``recurrent_dropout`` acts on g. State: ``(h, c)``, each ``(hidden_size,)``. Cost per step
    ``O(hidden_size * (in_features + hidden_size))``; sequential in time. Kernels hold the gates in the
    order i, f, g, o, so torch's weights transfer as ``input.kernel = weight_ih.T``,
    ``input.bias = bias_ih``, ``hidden.kernel = weight_hh.T``, ``hidden.bias = bias_hh``.

    Source: Hochreiter and Schmidhuber, Neural Computation 9(8), 1997; forget gates: Gers et al., Neural
    Computation 12(10), 2000; dropout: Semeniuta et al., arXiv:1603.05118.

    Args:
        in_features: width of the inputs.
        hidden_size: width of h, of c and of the outputs.
        heads: parts of the state that do not see each other: U in blocks (arXiv:2412.07752).
        recurrent_dropout: the share of g that is zero at a step, drawn anew at each, where a call gives a
            ``key``; the rest is scaled up.
    """

    gates: ClassVar[int] = 4
    hidden_bias: ClassVar[bool] = True

    def initial_state(self, params: Params) -> State:
        return np.zeros(self.hidden_size), np.zeros(self.hidden_size)

    def hidden(self, state: State) -> Array:
        return state[0]

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        xp, c = namespace(state[1]), state[1]
        i, f, g, o = parts(self.embedded(inputs) + hidden, 4)
        c = nn.sigmoid(f) * c + nn.sigmoid(i) * self.dropped(xp.tanh(g), inputs)
        return nn.sigmoid(o) * xp.tanh(c), c
