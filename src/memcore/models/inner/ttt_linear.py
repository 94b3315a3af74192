"""TTT-Linear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import number
from memcore.layers.heads import project_heads
from memcore.layers.ttt import TTTCell
from memcore.nn import wide
from memcore.ops.inner.inner_norm import error
from memcore.ops.inner.ttt_linear import mini_batches, residual, turned
from memcore.registry import register
from memcore.types import Dtype


@register("ttt_linear")
@dataclass(frozen=True)
class TTTLinear(TTTCell):
    """A linear model per head, trained at every step to map keys to values: test-time training.

        q, k, v = W_q x_t / sqrt(D), W_k x_t, W_v x_t;   eta_t = rate / D sigmoid(W_r x_t + b_r)
        e_t = gradient of |LN(k_t W + c) - (v_t - k_t)|^2 / 2 in k_t W + c, at the mini-batch's W and c
        z_t = q_t W + c - eta_t sum_s (q_t . k_s + 1) e_s over the mini-batch's s <= t
        y_t = W_o LN(z_t + LN(z_t));   at the end of a mini-batch W -= eta sum_s k_s^T e_s, c -= eta sum_s e_s

    State: W, c and the sums of their gradients, ``(heads, D, D)`` and ``(heads, D)``, and the last eta
    ``(heads,)``. Mini-batches stand on a grid: a start makes W and c initial and does not move it. Cost per
    step ``O(heads * D * (D + mini_batch))``; parallel inside a mini-batch.

    Source: Sun et al., arXiv:2407.04620, equations 7 and 8 and appendix A; the rate depends on the row that
    reads, as in flash-linear-attention (the authors' depends on the row that writes as well).

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        mini_batch: rows whose gradients are taken at the same weights. It changes the numbers; 1 is the exact
            gradient descent.
        rate: inner learning rate.
        eps: added to variances.
    """

    rate: float = number(1.0, above=0)

    mini_batches = staticmethod(mini_batches)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, h, d = as_draw(key, dtype), self.heads, self.size
        return {
            **self.init_around(draw),
            "weight": draw.normal("weight", (h, d, d), 0.02, label="recurrence"),
            "offset": draw.zeros((h, d), label="recurrence"),
        }

    def initial_state(self, params: Params) -> State:
        h, d = self.heads, self.size
        sums = {"weight_sum": np.zeros((h, d, d)), "bias_sum": np.zeros((h, d))}
        return {"weight": params["weight"], "bias": params["offset"], **sums, "rate": np.zeros(h)}

    def embed(self, params: Params, x: Array) -> Inputs:
        inputs = project_heads(params, x, self.heads)
        inputs["q"] = inputs["q"] * self.size**-0.5
        inputs["rate"] = self.rate / self.size * nn.sigmoid(nn.linear(params["rate"], x))
        return {name: wide(value) for name, value in inputs.items()}

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        k, v = inputs["k"], inputs["v"]
        z = (k[..., None, :] @ state["weight"])[..., 0, :] + state["bias"]
        e = error(params["norm"], z, v - k, self.eps)
        return {
            **state,
            "weight_sum": state["weight_sum"] + k[..., :, None] * e[..., None, :],
            "bias_sum": state["bias_sum"] + e,
            "rate": inputs["rate"],
        }

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        q, rate = inputs["q"], inputs["rate"][..., None]
        weight = state["weight"] - rate[..., None] * state["weight_sum"]
        z = (q[..., None, :] @ weight)[..., 0, :] + state["bias"] - rate * state["bias_sum"]
        return residual(params["norm"], z, self.eps)

    def turn(self, params: Params, state: State) -> State:
        return turned(state)
