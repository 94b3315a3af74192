"""Linear Recurrent Unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore.backend import as_draw, namespace, product, state_dtype
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count, number
from memcore.layers.ring import init_ring
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype, Reads


@register("lru")
@dataclass(frozen=True)
class LRU(RuleCell):
    """A diagonal complex linear recurrence, initialised on a ring of the unit disk.

        lambda = exp(-exp(nu) + i exp(theta))
        h_t = lambda * h_{t-1} + exp(gamma) * (B x_t)
        y_t = Re(C h_t) + D * x_t

    State: ``(re, im)``, each ``(state_size,)``. Cost per step ``O(in_features * state_size)``; parallel
    over time in ``O(log T)`` rounds.

    Source: Orvieto et al., Resurrecting Recurrent Neural Networks for Long Sequences, arXiv:2303.06349,
    section 3 and algorithm in appendix A.

    Args:
        in_features: width of inputs and outputs.
        state_size: number N of complex states.
        r_min: smallest ``|lambda|`` at initialisation.
        r_max: largest ``|lambda|`` at initialisation.
        max_phase: largest phase of lambda at initialisation, radians.
    """

    state_size: int = count(64)
    r_min: float = number(0.0, least=0, below=1)
    r_max: float = number(1.0, above=0, most=1)
    max_phase: float = number(2 * math.pi, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.r_min >= self.r_max:
            raise ValueError(
                f"r_min and r_max are {self.r_min} and {self.r_max}, expected r_min < r_max"
            )

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence()

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n, d = as_draw(key, dtype), self.state_size, self.in_features
        nu_log, theta_log, radius2 = init_ring(draw, n, self.r_min, self.r_max, self.max_phase)
        gamma = 0.5 * namespace(radius2).log(1.0 - radius2)
        return {
            "nu_log": nu_log,
            "theta_log": theta_log,
            "gamma_log": draw.array(gamma, label="recurrence"),
            "b_re": draw.normal("b_re", (d, n), 1 / math.sqrt(2 * d), label="matrix"),
            "b_im": draw.normal("b_im", (d, n), 1 / math.sqrt(2 * d), label="matrix"),
            "c_re": draw.normal("c_re", (n, d), 1 / math.sqrt(n), label="matrix"),
            "c_im": draw.normal("c_im", (n, d), 1 / math.sqrt(n), label="matrix"),
            "d": draw.normal("d", (d,), label="scale"),
        }

    def initial_state(self, params: Params) -> State:
        return (np.zeros(self.state_size), np.zeros(self.state_size))

    def embed(self, params: Params, x: Array) -> Inputs:
        xp = namespace(x)
        dtype = state_dtype(xp, x.dtype)
        p = {name: xp.astype(value, dtype, copy=False) for name, value in params.items()}
        radius, phase = xp.exp(-xp.exp(p["nu_log"])), xp.exp(p["theta_log"])
        gamma, lead = xp.exp(p["gamma_log"]), (1,) * (x.ndim - 1)
        decay = (radius * xp.cos(phase), radius * xp.sin(phase))
        # What scales or subtracts does so in the matrices: they are smaller than what they give.
        b_re, b_im = (xp.astype(gamma * p[name], x.dtype, copy=False) for name in ("b_re", "b_im"))
        return {
            "a": tuple(xp.reshape(a, (*lead, self.state_size)) for a in decay),
            "b": (wide(product(x, b_re)), wide(product(x, b_im))),
            "x": x,
        }

    def output(self, params: Params, read: Reads, inputs: Inputs) -> Array:
        x = inputs["x"]
        xp = namespace(x)
        c_re, c_im, d = (xp.astype(params[n], x.dtype, copy=False) for n in ("c_re", "c_im", "d"))
        return product(read[0], c_re) + product(read[1], -c_im) + d * x
