"""Linear Recurrent Unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from memcore.backend import as_draw, namespace, state_dtype
from memcore.cell import Array, Params, State
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.rule import RuleCell
from memcore.registry import register


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

    state_size: int = 64
    r_min: float = 0.0
    r_max: float = 1.0
    max_phase: float = 2 * math.pi

    rule_name: ClassVar[str] = "linear_recurrence"
    label_names: ClassVar[dict[str, str]] = {
        **dict.fromkeys(("b_re", "b_im", "c_re", "c_im"), "matrix"),
        "d": "scale",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.r_min < self.r_max <= 1:
            raise ValueError(
                f"r_min and r_max are {self.r_min} and {self.r_max}, expected 0 <= r_min < r_max <= 1"
            )
        if not self.max_phase > 0:
            raise ValueError(f"max_phase is {self.max_phase}, expected a positive angle in radians")

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence()

    def init(self, key: Any, dtype: Any = "float32") -> Params:
        draw, n, d = as_draw(key, dtype), self.state_size, self.in_features
        u = draw.uniform("nu_log", (n,))
        xp = namespace(u)
        # Uniform over the ring's area; the logarithms want numbers that are neither 0 nor 1.
        eps = float(xp.finfo(u.dtype).eps)
        radius2 = u * (self.r_max**2 - self.r_min**2) + self.r_min**2
        radius2 = xp.clip(radius2, eps, 1.0 - eps)
        phase = xp.clip(draw.uniform("theta_log", (n,)), eps, 1.0) * self.max_phase
        return {
            "nu_log": xp.log(-0.5 * xp.log(radius2)),
            "theta_log": xp.log(phase),
            "gamma_log": 0.5 * xp.log(1.0 - radius2),
            "b_re": draw.normal("b_re", (d, n), 1 / math.sqrt(2 * d)),
            "b_im": draw.normal("b_im", (d, n), 1 / math.sqrt(2 * d)),
            "c_re": draw.normal("c_re", (n, d), 1 / math.sqrt(n)),
            "c_im": draw.normal("c_im", (n, d), 1 / math.sqrt(n)),
            "d": draw.normal("d", (d,)),
        }

    def initial_state(self, params: Params) -> State:
        return (np.zeros(self.state_size), np.zeros(self.state_size))

    def embed(self, params: Params, x: Array) -> Any:
        xp = namespace(x)
        dtype = state_dtype(xp, x.dtype)
        p = {name: xp.astype(value, dtype, copy=False) for name, value in params.items()}
        radius, phase = xp.exp(-xp.exp(p["nu_log"])), xp.exp(p["theta_log"])
        gamma, lead = xp.exp(p["gamma_log"]), (1,) * (x.ndim - 1)
        decay = (radius * xp.cos(phase), radius * xp.sin(phase))
        b_re, b_im = (xp.astype(params[name], x.dtype, copy=False) for name in ("b_re", "b_im"))
        return {
            "decay": tuple(xp.reshape(a, (*lead, self.state_size)) for a in decay),
            "input": (gamma * wide(x @ b_re), gamma * wide(x @ b_im)),
            "x": x,
        }

    def output(self, params: Params, read: Any, inputs: Any) -> Array:
        x = inputs["x"]
        xp = namespace(x)
        c_re, c_im, d = (xp.astype(params[n], x.dtype, copy=False) for n in ("c_re", "c_im", "d"))
        return read[0] @ c_re - read[1] @ c_im + d * x
