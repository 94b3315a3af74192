"""The selective state space model of Mamba."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace, outer, spread
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count, number
from memcore.layers.decay import init_time_step
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype


@register("s6")
@dataclass(frozen=True)
class S6(RuleCell):
    """A diagonal recurrence of N states per channel, whose step size, input and output depend on the input.

        r_t, B_t, C_t = W x_t;   dt_t = softplus(W_dt r_t + dt_bias);   A = -exp(A_log)
        h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t
        y_t = C_t . h_t + D x_t

    State: ``(state_size, in_features)``. Cost per step ``O(in_features * state_size)``; parallel over time in
    chunks, inside which the step sizes, and the decays and inputs of all states, are made. That is made
    for the authors' N of 16: from 64 on a CPU is the faster without a gradient by ``method="sequential"``.

    Source: Gu and Dao, Mamba, arXiv:2312.00752, algorithm 2; simplified discretisation of B, initial values
    and ranks as in the authors' code (``state-spaces/mamba``).

    Args:
        in_features: number of channels.
        state_size: N, states per channel.
        rank: width of r; a sixteenth of ``in_features``, rounded up, if None.
        dt_min: smallest step size at initialisation.
        dt_max: largest step size at initialisation.
    """

    state_size: int = count(16)
    rank: int | None = count(None)
    dt_min: float = number(1e-3, above=0)
    dt_max: float = number(1e-1, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dt_min > self.dt_max:
            raise ValueError(
                f"dt_min and dt_max are {self.dt_min} and {self.dt_max}, expected dt_min <= dt_max"
            )

    @property
    def widths(self) -> tuple[int, int]:
        """The width of r, and N."""
        return self.rank or -(-self.in_features // 16), self.state_size

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence(rank=2)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, (r, n) = as_draw(key, dtype), self.in_features, self.widths
        bound, dt = r**-0.5, draw.child("dt")
        bias = init_time_step(dt, (width,), self.dt_min, self.dt_max)
        a = draw.array(np.tile(np.arange(1, n + 1), (width, 1)), label="recurrence")
        return {
            "projection": nn.uniform_dense(draw, "projection", width, r + 2 * n),
            "dt": {"kernel": dt.uniform("kernel", (r, width), -bound, bound), "bias": bias},
            "A_log": namespace(a).log(a),
            "d": draw.ones((width,), label="scale"),
        }

    def initial_state(self, params: Params) -> State:
        return np.zeros((self.state_size, self.in_features))

    def embed(self, params: Params, x: Array) -> Inputs:
        r, n = self.widths
        p, xp = wide(nn.linear(params["projection"], x)), namespace(x)
        a = -xp.exp(xp.astype(params["A_log"], p.dtype, copy=False)).T  # once, not in every chunk
        a = xp.reshape(a, (*(1,) * (x.ndim - 1), n, self.in_features))
        return {"x": wide(x), "r": p[..., :r], "a": a, "b": p[..., r : r + n], "c": p[..., r + n :]}

    def rule_inputs(self, params: Params, inputs: Inputs) -> Inputs:
        dt = nn.softplus(nn.linear(params["dt"], inputs["r"]))
        a = namespace(dt).exp(spread(dt, self.state_size) * inputs["a"])
        return {"a": a, "b": outer(inputs["b"], dt * inputs["x"])}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        return (inputs["c"][..., None, :] @ state)[..., 0, :]

    def output(self, params: Params, read: Array, inputs: Inputs) -> Array:
        xp = namespace(read)
        x, d = (xp.astype(a, read.dtype, copy=False) for a in (inputs["x"], params["d"]))
        return read + d * x
