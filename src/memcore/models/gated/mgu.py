"""Minimal Gated Unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore import nn
from memcore.backend import namespace
from memcore.cell import Array, Inputs, Params, State
from memcore.layers.head_wise import head_wise
from memcore.layers.hidden_state import HeadWiseCell
from memcore.registry import register


@register("mgu")
@dataclass(frozen=True)
class MGU(HeadWiseCell):
    """A gated unit with one gate, which forgets and resets.

        f = sigmoid(W_f x_t + b_f + U_f h_{t-1})
        n = tanh(W_n x_t + b_n + U_n (f * h_{t-1}))
        h_t = (1 - f) * h_{t-1} + f * n,    y_t = h_t

    State: ``(hidden_size,)``. Cost per step ``O(hidden_size * (in_features + hidden_size))``; sequential in
    time. Kernels hold f, then n.

    Source: Zhou et al., Minimal Gated Unit for Recurrent Neural Networks, arXiv:1603.09420; the paper gives
    no initial values: they are those of ``torch.nn.GRU``.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
        heads: parts of the state that do not see each other: U in blocks (arXiv:2412.07752).
    """

    gates: ClassVar[int] = 2

    def project(self, params: Params, state: State, inputs: Inputs) -> tuple[Array, Array]:
        kernel, n = params["hidden"]["kernel"], self.hidden_size
        own = n // self.heads
        forget = inputs[..., :n] + head_wise({"kernel": kernel[..., :own]}, state)
        return forget, head_wise({"kernel": kernel[..., own:]}, nn.sigmoid(forget) * state)

    def update(self, state: State, inputs: Inputs, hidden: tuple[Array, Array]) -> State:
        f = nn.sigmoid(hidden[0])
        new = namespace(state).tanh(inputs[..., self.hidden_size :] + hidden[1])
        return (1.0 - f) * state + f * new
