"""Stable Hadamard memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import Draw, as_draw, asarray_like, namespace, outer, rows
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("shm")
@dataclass(frozen=True)
class SHM(RuleCell):
    """A matrix whose every entry is calibrated by a factor of its own in (0, 2), near 1 on average.

        u = LN(x_t);   v = W_v u,   k, q = r(W_k u), r(W_q u),   r(a) = relu(a) / (sum(relu(a)) + 1e-5)
        C_t = 1 + tanh(theta_t (W_c u)^T);   theta_t a row of a table, drawn at every step
        M_t = M_{t-1} * C_t + sigmoid(w . u) v k^T,   elementwise
        y_t = W_o M_t q + b

    State: ``M (state_size, state_size)``, values first. Cost per step ``O(state_size^2)``; parallel over time
    in chunks, inside which C_t is made.

    Rows are drawn where a run has a ``key``; without one theta_t is the first row. The paper draws in
    evaluation as well: give a key there too.

    Source: Le et al., Stable Hadamard Memory, arXiv:2410.10132; layer norm, 1e-5 and initial values as in
    `memorax.SHMCell`.

    Args:
        in_features: width of inputs and outputs.
        state_size: H, keys and values.
        thetas: L, rows of the table.
    """

    state_size: int = count(32)
    thetas: int = count(128)

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence(rank=2)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, h, length = as_draw(key, dtype), self.in_features, self.state_size, self.thetas
        names, bound = ("value", "key", "query", "calibration"), math.sqrt(6 / (length + h))
        return {
            "norm": {"scale": draw.ones((width,)), "bias": draw.zeros((width,))},
            **{name: nn.dense(draw, name, width, h) for name in names},
            "strength": nn.dense(draw, "strength", width, 1),
            "theta": draw.uniform("theta", (length, h), -bound, bound, label="recurrence"),
            "output": nn.dense(draw, "output", h, width, bias=True),
        }

    def initial_state(self, params: Params) -> State:
        return np.zeros((self.state_size, self.state_size))

    def embed(self, params: Params, x: Array) -> Inputs:
        u = nn.layer_norm(params["norm"], wide(x), 1e-5)
        theta = namespace(u).astype(params["theta"][0, :], u.dtype, copy=False)
        written = nn.sigmoid(nn.linear(params["strength"], u)) * nn.linear(params["value"], u)
        calibration = nn.linear(params["calibration"], u)
        return {
            "v": written,
            "k": _share(nn.linear(params["key"], u)),
            "q": _share(nn.linear(params["query"], u)),
            "c": calibration,
            "theta": theta + namespace(u).zeros_like(calibration),
        }

    def perturb(self, params: Params, inputs: Inputs, key: Draw) -> Inputs:
        xp, c = namespace(inputs["c"]), inputs["c"]
        place = asarray_like(key.uniform("theta", c.shape[:-1], 0, self.thetas), c)
        place = xp.minimum(xp.astype(xp.floor(place), xp.int32), self.thetas - 1)
        theta = rows(params["theta"], place)
        return {**inputs, "theta": xp.astype(theta, c.dtype, copy=False)}

    def rule_inputs(self, params: Params, inputs: Inputs) -> Inputs:
        theta, c, v, k = (inputs[name] for name in ("theta", "c", "v", "k"))
        return {"a": 1 + namespace(c).tanh(outer(theta, c)), "b": outer(v, k)}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        return (state @ inputs["q"][..., None])[..., 0]

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        return nn.linear(params["output"], read)


def _share(x: Array) -> Array:
    """``relu(x)`` over its sum."""
    xp = namespace(x)
    x = xp.where(x > 0, x, xp.zeros_like(x))
    return x / (xp.sum(x, axis=-1, keepdims=True) + 1e-5)
