"""Multilayer perceptrons, pointwise in time."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw
from memcore.cell import Array, Params


def init_gated_mlp(draw: Draw, width: int, hidden: int) -> Params:
    """Parameters of `gated_mlp`."""
    return {
        "gate": nn.dense(draw, "gate", width, hidden),
        "up": nn.dense(draw, "up", width, hidden),
        "down": nn.dense(draw, "down", hidden, width),
    }


def gated_mlp(params: Params, x: Array) -> Array:
    """``W_down (silu(W_gate x) * W_up x)``: SwiGLU (arXiv:2002.05202)."""
    y = nn.silu(nn.linear(params["gate"], x)) * nn.linear(params["up"], x)
    return nn.linear(params["down"], y)
