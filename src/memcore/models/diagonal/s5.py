"""S5: one state space of many inputs and outputs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from memcore.backend import as_draw, cast, namespace, product, state_dtype
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.fields import choice, count, flag, number
from memcore.layers.state_space import bilinear, hippo_n, zero_order_hold
from memcore.nn import wide
from memcore.ops.linear.linear_recurrence import LinearRecurrence
from memcore.ops.linear.numbers import COMPLEX
from memcore.ops.rule import RuleCell
from memcore.registry import register
from memcore.types import Dtype, Reads


@register("s5")
@dataclass(frozen=True)
class S5(RuleCell):
    """A diagonal complex state space, made discrete with a step size per state.

        z = Lambda exp(log_step)
        zoh:       a = exp(z),                     B' = (a - 1) / Lambda B
        bilinear:  a = (1 + z / 2) / (1 - z / 2),  B' = exp(log_step) / (1 - z / 2) B
        h_t = a * h_{t-1} + B' x_t
        y_t = Re(C h_t) + D * x_t,   of conjugate pairs 2 Re(C h_t)

    State: ``(re, im)``, each ``(state_size,)``. Cost per step ``O(in_features * state_size)``; parallel over
    time in ``O(log T)`` rounds.

    Source: Smith et al., Simplified State Space Layers for Sequence Modeling, arXiv:2208.04933; initial
    values as in the authors' code (``lindermanlab/S5``): Lambda of HiPPO-N in equal blocks, of each pair
    one, B and C drawn real and complex in the basis before the diagonal one.

    Args:
        in_features: width of inputs and outputs.
        state_size: number of complex states that are kept.
        blocks: blocks of HiPPO-N.
        conjugate: whether each state stands for itself and its conjugate.
        discretisation: ``"zoh"`` or ``"bilinear"``.
        dt_min: smallest step size at initialisation.
        dt_max: largest step size at initialisation.
    """

    state_size: int = count(64)
    blocks: int = count(1)
    conjugate: bool = flag(True)
    discretisation: str = choice("zoh", "zoh", "bilinear")
    dt_min: float = number(1e-3, above=0)
    dt_max: float = number(1e-1, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.state_size % self.blocks:
            raise ValueError(
                f"blocks is {self.blocks}, expected a divisor of state_size {self.state_size}"
            )
        if self.dt_min > self.dt_max:
            raise ValueError(
                f"dt_min and dt_max are {self.dt_min} and {self.dt_max}, expected dt_min <= dt_max"
            )

    @property
    def rule(self) -> LinearRecurrence:
        return LinearRecurrence()

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n, d = as_draw(key, dtype), self.state_size, self.in_features
        own = n // self.blocks
        eigenvalues, vectors = hippo_n(own * (2 if self.conjugate else 1))
        # Block-diagonal; of a pair of eigenvalues the one below the real axis is kept.
        basis = np.kron(np.eye(self.blocks), vectors[:, :own])
        re, im = (draw.array(part, label="matrix") for part in (basis.real, basis.imag))
        full = len(basis)
        b = draw.normal("b", (d, full), full**-0.5, label="matrix")
        c = [draw.normal(name, (d, full), full**-0.5, label="matrix") for name in ("c_re", "c_im")]
        eigenvalues = np.tile(eigenvalues[:own], self.blocks)
        low, high = math.log(self.dt_min), math.log(self.dt_max)
        return {
            "lambda_re": draw.array(eigenvalues.real, label="recurrence"),
            "lambda_im": draw.array(eigenvalues.imag, label="recurrence"),
            "log_step": draw.uniform("log_step", (n,), low, high, label="recurrence"),
            "b_re": b @ re,
            "b_im": -(b @ im),
            "c_re": (c[0] @ re - c[1] @ im).T,
            "c_im": (c[0] @ im + c[1] @ re).T,
            "d": draw.normal("d", (d,), label="scale"),
        }

    def initial_state(self, params: Params) -> State:
        return (np.zeros(self.state_size), np.zeros(self.state_size))

    def embed(self, params: Params, x: Array) -> Inputs:
        xp = namespace(x)
        names = ("lambda_re", "lambda_im", "log_step", "b_re", "b_im")
        dtype = state_dtype(xp, x.dtype)
        re, im, log_step, *kernels = (xp.astype(params[n], dtype, copy=False) for n in names)
        discretise = bilinear if self.discretisation == "bilinear" else zero_order_hold
        a, factor = discretise((re, im), xp.exp(log_step))
        shape = (*(1,) * (x.ndim - 1), self.state_size)
        # What scales or subtracts does so in the matrices: they are smaller than what they give.
        kernels = COMPLEX.act(factor, tuple(kernels))
        b = tuple(wide(product(x, cast(kernel, x.dtype))) for kernel in kernels)
        constant = tuple(xp.reshape(part, shape) for part in a)
        return {"a": constant, "b": b, "x": x}

    def output(self, params: Params, read: Reads, inputs: Inputs) -> Array:
        x = inputs["x"]
        xp = namespace(x)
        c_re, c_im, d = (xp.astype(params[n], x.dtype, copy=False) for n in ("c_re", "c_im", "d"))
        y = product(read[0], c_re) + product(read[1], -c_im)
        return (2 * y if self.conjugate else y) + d * x
