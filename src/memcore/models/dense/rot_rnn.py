"""RotRNN: rotations that keep what they turn."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore.backend import as_draw, namespace, product, state_dtype
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import count, number
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.linear.rotation import exponential
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype, Reads


@register("rot_rnn")
@dataclass(frozen=True)
class RotRNN(RuleCell):
    """Heads of a shrinking rotation each, normalised so that white inputs keep the state's length at 1.

        gamma = exp(-exp(gamma_log)),   P = exp(M - M^T),   A = P diag(2x2 rotations by theta) P^T
        h_t = gamma A h_{t-1} + sqrt((1 - gamma^2) / tr(B^T B)) B x_t,   in each head
        y_t = C h_t + D * x_t

    State: ``P^T h`` of every head, in which A is diagonal: ``(re, im)``, each ``(heads, state_size / heads
    / 2)``, the first and second of each plane. Cost per step ``O(in_features * state_size)``; parallel over
    time in ``O(log T)`` rounds.

    Source: Biegun et al., RotRNN: Modelling Long Sequences with Rotations, arXiv:2407.07239; initial values
    as in the authors' code.

    Args:
        in_features: width of inputs and outputs.
        state_size: width of the states of all heads.
        heads: number of heads, each of an even size.
        gamma_min: smallest gamma at initialisation.
        gamma_max: largest gamma at initialisation.
        max_phase: largest theta at initialisation, radians.
    """

    state_size: int = count(64)
    heads: int = count(4)
    gamma_min: float = number(0.9, above=0, below=1)
    gamma_max: float = number(0.999, above=0, below=1)
    max_phase: float = number(2 * math.pi, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.state_size % (2 * self.heads):
            raise ValueError(
                f"heads is {self.heads}, expected one that leaves each an even share of state_size "
                f"{self.state_size}"
            )
        if self.gamma_min > self.gamma_max:
            raise ValueError(
                f"gamma_min and gamma_max are {self.gamma_min} and {self.gamma_max}, "
                "expected gamma_min <= gamma_max"
            )

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence(rank=2)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, d, heads = as_draw(key, dtype), self.in_features, self.heads
        n, std = self.state_size // heads, (d + self.state_size) ** -0.5
        low, high = (math.log(-math.log(g)) for g in (self.gamma_max, self.gamma_min))
        theta = draw.uniform("theta", (heads, n // 2), 0, self.max_phase, label="recurrence")
        return {
            "gamma_log": draw.uniform("gamma_log", (heads,), low, high, label="recurrence"),
            "theta": theta,
            "m": draw.normal("m", (heads, n, n), label="recurrence"),
            "b": draw.normal("b", (heads, d, n), std, label="matrix"),
            "c": draw.normal("c", (heads, n, d), std, label="matrix"),
            "d": draw.normal("d", (d,), label="scale"),
        }

    def initial_state(self, params: Params) -> State:
        planes = self.state_size // self.heads // 2
        return tuple(np.zeros((self.heads, planes)) for _ in range(2))

    def embed(self, params: Params, x: Array) -> Inputs:
        xp = namespace(x)
        dtype = state_dtype(xp, x.dtype)
        p = {name: xp.astype(value, dtype, copy=False) for name, value in params.items()}
        log_gamma = -xp.exp(p["gamma_log"])[:, None]
        energy = xp.sum(p["b"] ** 2, axis=(1, 2))[:, None]
        norm = xp.sqrt(-xp.expm1(2 * log_gamma) / energy)  # 1 - gamma^2 without cancellation
        basis = exponential(p["m"] - p["m"].mT)
        b = xp.moveaxis((norm[..., None] * p["b"]) @ basis, 0, 1)
        u = product(wide(x), xp.reshape(b, (self.in_features, self.state_size)))
        pairs = xp.reshape(u, (*x.shape[:-1], *p["theta"].shape, 2))
        gamma, front = xp.exp(log_gamma), (1,) * (x.ndim - 1)
        waves = (xp.cos(p["theta"]), xp.sin(p["theta"]))
        c = xp.reshape(basis.mT @ p["c"], (*front, self.state_size, self.in_features))
        return {
            "a": tuple(xp.reshape(gamma * wave, (*front, *wave.shape)) for wave in waves),
            "b": (pairs[..., 0], pairs[..., 1]),
            "x": x,
            "c": c,
        }

    def output(self, params: Params, read: Reads, inputs: Inputs) -> Array:
        x = inputs["x"]
        xp = namespace(x)
        c = xp.reshape(inputs["c"], (self.state_size, self.in_features))
        c, d = (xp.astype(a, x.dtype, copy=False) for a in (c, params["d"]))
        h = xp.reshape(xp.stack(read, axis=-1), (*x.shape[:-1], self.state_size))
        return product(h, c) + d * x
