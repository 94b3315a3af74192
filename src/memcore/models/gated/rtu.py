"""Recurrent Trace Unit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, GatedCell, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.ring import init_ring
from memcore.nn import wide
from memcore.ops.linear.numbers import COMPLEX
from memcore.registry import register
from memcore.types import Dtype


@register("rtu")
@dataclass(frozen=True)
class RTU(GatedCell):
    """Complex units that rotate, shrink and pass a ReLU: the nonlinear RTU.

        r = exp(-exp(nu)),   theta = exp(theta_log)
        a_t = relu(r cos(theta) a_{t-1} - r sin(theta) b_{t-1} + sqrt(1 - r^2) W_a x_t)
        b_t = relu(r cos(theta) b_{t-1} + r sin(theta) a_{t-1} + sqrt(1 - r^2) W_b x_t)
        y_t = (a_t, b_t)

    State: ``(a, b)``, each ``(hidden_size,)``. Cost per step ``O(in_features * hidden_size)``; sequential in
    time.

    Source: Elelimy et al., Real-Time Recurrent Learning using Trace Units in Reinforcement Learning,
    arXiv:2409.01449; initial values as in the authors' code: r and theta those of an LRU on the whole disk,
    kernels LeCun-normal.

    Args:
        in_features: width of the inputs.
        hidden_size: number of complex units; the outputs are twice as wide.
    """

    hidden_size: int = count(64)

    @property
    def out_features(self) -> int:
        return 2 * self.hidden_size

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n = as_draw(key, dtype), self.hidden_size
        nu_log, theta_log, _ = init_ring(draw, n)
        kernels = {name: nn.dense(draw, name, self.in_features, n) for name in ("a", "b")}
        return {"nu_log": nu_log, "theta_log": theta_log, **kernels}

    def initial_state(self, params: Params) -> State:
        return np.zeros(self.hidden_size), np.zeros(self.hidden_size)

    def embed(self, params: Params, x: Array) -> Inputs:
        a, b = (wide(nn.linear(params[name], x)) for name in ("a", "b"))
        xp = namespace(a)
        nu = xp.exp(xp.astype(params["nu_log"], a.dtype, copy=False))
        norm = xp.sqrt(-xp.expm1(-2 * nu))  # 1 - r^2, without what r near 1 would cancel
        return norm * a, norm * b

    def project(self, params: Params, state: State, inputs: Inputs) -> tuple[Array, Array]:
        xp, dtype = namespace(state[0]), state[0].dtype
        nu, theta = (
            xp.exp(xp.astype(params[name], dtype, copy=False)) for name in ("nu_log", "theta_log")
        )
        r = xp.exp(-nu)
        turned: tuple[Array, Array] = COMPLEX.act((r * xp.cos(theta), r * xp.sin(theta)), state)
        return turned

    def update(self, state: State, inputs: Inputs, hidden: tuple[Array, Array]) -> State:
        return tuple(nn.relu(u + h) for u, h in zip(inputs, hidden, strict=True))

    def output(self, params: Params, read: tuple[Array, Array], inputs: Inputs) -> Array:
        return namespace(read[0]).concat(read, axis=-1)
