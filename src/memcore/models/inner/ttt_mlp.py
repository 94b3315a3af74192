"""TTT-MLP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.heads import project_heads
from memcore.layers.ttt import TTTCell
from memcore.nn import wide
from memcore.ops.inner.ttt_mlp import added, gradients, mini_batches, moved, read, turned
from memcore.registry import register
from memcore.types import Dtype


@register("ttt_mlp")
@dataclass(frozen=True)
class TTTMLP(TTTCell):
    """An MLP per head, trained at every step to map keys to values: test-time training.

        q, k, v = W_q x_t, W_k x_t, W_v x_t;   eta_t = rate / D sigmoid(W_r x_t + b_r)
        f(x) = x + LN(gelu(x W1 + b1) W2 + b2);   G_t = gradient of |f(k_t) - v_t|^2 / 2 in W1, b1, W2, b2
        y_t = W_o LN(f(q_t)), f with the mini-batch's weights less eta_t sum_s G_s over its s <= t
        at the end of a mini-batch the weights become those less eta sum_s G_s

    with all G of a mini-batch at the weights before it. State: the weights ``(heads, D, hidden_size)``,
    ``(heads, hidden_size, D)`` and their biases, the sums of their gradients, and the last eta ``(heads,)``.
    Mini-batches stand on a grid: a start makes the weights initial and does not move it. Cost per step
    ``O(heads * D * (hidden_size + mini_batch))``; parallel inside a mini-batch. The weights at starts have
    the label ``"memory"``.

    Source: Sun et al., arXiv:2407.04620, equations 7 and 8 and appendix A, without its positions and
    convolutions; the rate depends on the row that reads, as in `TTTLinear`.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        hidden_size: width inside the MLP; 4 D if None.
        mini_batch: rows whose gradients are taken at the same weights. It changes the numbers; 1 is the exact
            gradient descent.
        rate: inner learning rate.
        eps: added to variances.
    """

    hidden_size: int | None = count(None)

    mini_batches = staticmethod(mini_batches)

    @property
    def sizes(self) -> tuple[int, int]:
        """D, and the width inside the MLP."""
        return self.size, self.hidden_size or 4 * self.size

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, h, (d, f) = as_draw(key, dtype), self.heads, self.sizes
        inner = draw.child("weights")
        return {
            **self.init_around(draw),
            "weights": {
                "w1": inner.normal("w1", (h, d, f), 0.02, label="memory"),
                "b1": inner.zeros((h, f), label="memory"),
                "w2": inner.normal("w2", (h, f, d), 0.02, label="memory"),
                "b2": inner.zeros((h, d), label="memory"),
            },
        }

    def initial_state(self, params: Params) -> State:
        weights, h = params["weights"], self.heads
        sums = {name: np.zeros(w.shape) for name, w in weights.items()}
        return {"weights": dict(weights), "sums": sums, "rate": np.zeros(h)}

    def embed(self, params: Params, x: Array) -> Inputs:
        inputs = project_heads(params, x, self.heads)
        rate = nn.sigmoid(nn.linear(params["rate"], x))
        inputs["rate"] = self.rate / self.sizes[0] * rate
        return {name: wide(value) for name, value in inputs.items()}

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        k, v = inputs["k"][..., None, :], inputs["v"][..., None, :]
        found = gradients(params["norm"], state["weights"], k, v, self.eps)
        return {**state, "sums": added(state["sums"], k, found), "rate": inputs["rate"]}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        weights, q = moved(state, inputs["rate"]), inputs["q"][..., None, :]
        return read(params["norm"], weights, q, self.eps)[..., 0, :]

    def turn(self, params: Params, state: State) -> State:
        return turned(state)
