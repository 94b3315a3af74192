"""Gated Recurrent Unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore import nn
from memcore.backend import namespace, parts
from memcore.cell import Array, Inputs, Params, State
from memcore.fields import choice
from memcore.layers.candidate_dropout import CandidateDropout
from memcore.layers.head_wise import head_wise
from memcore.registry import register


@register("gru")
@dataclass(frozen=True)
class GRU(CandidateDropout):
    """The GRU of ``torch.nn.GRU`` and cuDNN, whose reset gate acts after the recurrent matrix, or of its
    paper, where it acts before.

        r = sigmoid(W_r x_t + b_r + U_r h_{t-1} + c_r)
        z = sigmoid(W_z x_t + b_z + U_z h_{t-1} + c_z)
        n = tanh(W_n x_t + b_n + r * (U_n h_{t-1} + c_n))     after
        n = tanh(W_n x_t + b_n + U_n (r * h_{t-1}))           before, without c
        h_t = (1 - z) * n + z * h_{t-1},    y_t = h_t

    ``recurrent_dropout`` acts on n. State: ``(hidden_size,)``. Cost per step
    ``O(hidden_size * (in_features + hidden_size))``; sequential in time. Kernels hold the gates in the
    order r, z, n, so torch's weights transfer as ``input.kernel = weight_ih.T``,
    ``input.bias = bias_ih``, ``hidden.kernel = weight_hh.T``, ``hidden.bias = bias_hh``. Where z stands
    for the new value and not for the old one, as in arXiv:1412.3555, its weights transfer with the other
    sign.

    Source: Cho et al., arXiv:1406.1078; the reset-after form is that of torch and cuDNN, as are the initial
    values. Dropout: Semeniuta et al., arXiv:1603.05118.

    Args:
        in_features: width of the inputs.
        hidden_size: width of the state and of the outputs.
        reset: whether r acts after or before the recurrent matrix.
        heads: parts of the state that do not see each other: U in blocks (arXiv:2412.07752).
        recurrent_dropout: the share of n that is zero at a step, drawn anew at each, where a call gives a
            ``key``; the rest is scaled up.
    """

    reset: str = choice("after", "after", "before")

    gates: ClassVar[int] = 3

    @property
    def hidden_bias(self) -> bool:  # type: ignore[override]
        return self.reset == "after"

    def project(self, params: Params, state: State, inputs: Inputs) -> Array:
        if self.reset == "after":
            return super().project(params, state, inputs)
        kernel, size = params["hidden"]["kernel"], 2 * self.hidden_size
        own = size // self.heads
        gates = head_wise({"kernel": kernel[..., :own]}, state)
        u = self.embedded(inputs)[..., : self.hidden_size]
        r = nn.sigmoid(u + gates[..., : self.hidden_size])
        new = head_wise({"kernel": kernel[..., own:]}, r * state)
        return namespace(state).concat([gates, new], axis=-1)

    def update(self, state: State, inputs: Inputs, hidden: Array) -> State:
        (u_r, u_z, u_n), (h_r, h_z, h_n) = parts(self.embedded(inputs), 3), parts(hidden, 3)
        new = nn.sigmoid(u_r + h_r) * h_n if self.reset == "after" else h_n
        z = nn.sigmoid(u_z + h_z)
        n = self.dropped(namespace(state).tanh(u_n + new), inputs)
        return (1.0 - z) * n + z * state
