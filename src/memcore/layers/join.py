"""How a block joins what comes in and what its part says: by a sum, a gate, or a GRU's gates."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw, namespace
from memcore.cell import Array, Params

JOINS = ("sum", "gate", "gru")
GRU_KERNELS = ("reset_y", "reset_x", "update_y", "update_x", "new_y", "new_x")


def init_join(draw: Draw, name: str, kind: str, width: int) -> Params:
    """Parameters of `join` under ``name``, none of a sum; the bias of the GRU's update gate begins as 2, near
    to ``x``."""
    if kind == "sum":
        return {}
    if kind == "gate":
        return {name: nn.dense(draw, name, width, width, bias=True)}
    own = draw.child(name)
    kernels = {part: nn.dense(own, part, width, width) for part in GRU_KERNELS}
    return {name: {**kernels, "bias": draw.full((width,), 2.0, label="bias")}}


def join(params: Params | None, kind: str, x: Array, y: Array) -> Array:
    """``x + y``; ``x + sigmoid(W x + b) y``; or, of ``y = relu(y)`` (GTrXL, arXiv:1910.06764),

    r = sigmoid(W_r y + U_r x),   z = sigmoid(W_z y + U_z x - b)
    (1 - z) x + z tanh(W_g y + U_g (r x))
    """
    if params is None:
        return x + y
    if kind == "gate":
        return x + nn.sigmoid(nn.linear(params, x)) * y
    xp = namespace(x)
    y = xp.where(y > 0, y, xp.zeros_like(y))
    bias = xp.astype(params["bias"], x.dtype, copy=False)
    r = nn.sigmoid(nn.linear(params["reset_y"], y) + nn.linear(params["reset_x"], x))
    z = nn.sigmoid(nn.linear(params["update_y"], y) + nn.linear(params["update_x"], x) - bias)
    new = xp.tanh(nn.linear(params["new_y"], y) + nn.linear(params["new_x"], r * x))
    return (1 - z) * x + z * new
