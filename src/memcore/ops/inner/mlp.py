"""A linear map or an MLP as a memory: its products, and the gradient of its loss, written out.

    z_l = x_l W_l,   x_{l+1} = silu(z_l),   d_l = (d_{l+1} W_{l+1}^T) * silu'(z_l)

The gradient in ``W_l`` is ``x_l^T d_l``: of one row an outer product, which is never made where rows are
read together. What multiplies a layer is a function, since rows of different sequences have other weights.
"""

from __future__ import annotations

from collections.abc import Callable

from memcore.backend import sigmoid
from memcore.cell import Array
from memcore.nn import silu

Product = Callable[[int, Array], Array]
"""``(layer, x) -> x W_layer``, or with the transposed matrix."""


def forward(through: Product, depth: int, x: Array) -> tuple[list[Array], list[Array], Array]:
    """``(inputs, products, output)``: what each layer is given, and each product but the last."""
    inputs, products, z = [x], [], through(0, x)
    for layer in range(1, depth):
        products.append(z)
        inputs.append(silu(z))
        z = through(layer, inputs[-1])
    return inputs, products, z


def backward(back: Product, products: list[Array], error: Array) -> list[Array]:
    """``d_l`` of each layer, from the gradient in the output."""
    found = [error]
    for layer in range(len(products), 0, -1):
        found.insert(0, back(layer, found[0]) * silu_slope(products[layer - 1]))
    return found


def silu_slope(z: Array) -> Array:
    """The derivative of ``silu``."""
    s = sigmoid(z)
    return s * (1.0 + z * (1.0 - s))
