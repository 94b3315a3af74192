"""Multilayer perceptrons, pointwise in time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from memcore import nn
from memcore.backend import Draw
from memcore.cell import Array, Params

Activation: TypeAlias = Callable[[Array], Array]


def init_gated_mlp(draw: Draw, width: int, hidden: int) -> Params:
    """Parameters of `gated_mlp`."""
    return {
        "gate": nn.dense(draw, "gate", width, hidden),
        "up": nn.dense(draw, "up", width, hidden),
        "down": nn.dense(draw, "down", hidden, width),
    }


def gated_mlp(params: Params, x: Array, activation: Activation = nn.silu) -> Array:
    """``W_down (silu(W_gate x) * W_up x)``: SwiGLU, or with `nn.gelu` GEGLU (arXiv:2002.05202)."""
    y = activation(nn.linear(params["gate"], x)) * nn.linear(params["up"], x)
    return nn.linear(params["down"], y)


def init_mlp(draw: Draw, width: int, hidden: int) -> Params:
    """Parameters of `mlp`."""
    return {
        "up": nn.dense(draw, "up", width, hidden, bias=True),
        "down": nn.dense(draw, "down", hidden, width, bias=True),
    }


def mlp(params: Params, x: Array) -> Array:
    """``W_down gelu(W_up x + b) + c``."""
    return nn.linear(params["down"], nn.gelu(nn.linear(params["up"], x)))
