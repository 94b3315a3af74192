"""The simple recurrent network of Elman."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import namespace
from memcore.cell import Array, Inputs, State
from memcore.fields import choice
from memcore.layers.hidden_state import HeadWiseCell
from memcore.registry import register


@register("elman")
@dataclass(frozen=True)
class Elman(HeadWiseCell):
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

    activation: str = choice("tanh", "tanh", "relu")

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        total = inputs + hidden
        return nn.relu(total) if self.activation == "relu" else namespace(total).tanh(total)
