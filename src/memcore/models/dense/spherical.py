"""A memory on a sphere, turned by its inputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace
from memcore.cell import Array, Element, Inputs, Key, Memoroid, Params, State
from memcore.fields import count, flag
from memcore.nn import wide
from memcore.ops.linear.rotation import rotation
from memcore.registry import register
from memcore.types import Dtype


@register("spherical")
@dataclass(frozen=True)
class Spherical(Memoroid):
    """Every input turns a vector of length 1; nothing fades, and the order of the inputs matters.

        R_t = exp(U - U^T),   U the strictly upper triangle of W x_t + b, row by row
        h_t = R_t h_{t-1},   h_0 = v / |v|,   y_t = h_t
        S_t = S_{t-1} R_t,   S_0 = I,         y_t = S_t v / |v|     where ``product``

    State: ``(state_size,)``, of the product ``(state_size, state_size)``. Cost per step ``O(state_size^2
    (in_features + state_size))``; parallel over time in ``O(log T)`` rounds of matrix products.

    Source: memax's ``Spherical`` and ``PSpherical`` (``smorad/memax``), after the rotations of Biegun et al.,
    arXiv:2407.07239; kernels are LeCun-normal, biases zero, v normal.

    Args:
        in_features: width of the inputs.
        state_size: dimensions of the sphere's space, and width of the outputs.
        product: whether the state is the product of all rotations, the last one innermost.
    """

    state_size: int = count(16, least=2)
    product: bool = flag(False)

    @property
    def out_features(self) -> int:
        return self.state_size

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, n = as_draw(key, dtype), self.state_size
        return {
            "angles": nn.dense(draw, "angles", self.in_features, n * (n - 1) // 2, bias=True),
            "initial": draw.normal("initial", (n,), label="recurrence"),
        }

    def initial_state(self, params: Params) -> State:
        return np.eye(self.state_size) if self.product else _unit(params["initial"])

    def embed(self, params: Params, x: Array) -> Inputs:
        return rotation(wide(nn.linear(params["angles"], x)))

    def lift(self, params: Params, inputs: Inputs) -> Element:
        return inputs

    def binary_op(self, params: Params, a: Element, b: Element) -> Element:
        return a @ b if self.product else b @ a

    def act(self, params: Params, state: State, element: Element) -> State:
        return state @ element if self.product else (element @ state[..., None])[..., 0]

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        if not self.product:
            return state
        start = namespace(state).astype(params["initial"], state.dtype, copy=False)
        return state @ _unit(start)


def _unit(v: Array) -> Array:
    xp, v = namespace(v), wide(v)
    return v / xp.sqrt(xp.sum(v * v))
