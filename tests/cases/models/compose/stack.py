"""Models one behind the other, by the references of each."""

from __future__ import annotations

from typing import Any

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.compose.block import block
from cases.models.gated import gru
from cases.models.gated.slstm_layer import slstm_layer
from cases.models.matrix import linear_attention
from cases.models.matrix.mlstm import mlstm


def of(*references: Reference) -> Reference:
    """The references, each given what the one before it gives."""

    def run(params: Any, xs: Any, starts: Any) -> Any:
        for i, reference in enumerate(references):
            xs = reference(params[f"layer_{i}"], xs, starts)
        return xs

    return run


def xlstm_block(inner: Any) -> Reference:
    return lambda p, xs, s: block(p, xs, lambda p, x: inner(p, x, s, heads=2))


BEFORE = memcore.Block(memcore.MLSTM(4, heads=2))
BEHIND = memcore.Block(memcore.SLSTMLayer(4, heads=2), mlp="glu", mlp_factor=4 / 3)
CASES = [
    ModelCase(
        "stack",
        memcore.Stack((memcore.GRU(4, hidden_size=6), memcore.LinearAttention(6, heads=2))),
        of(gru.ys, linear_attention.ys),
    ),
    ModelCase(
        "stack_xlstm",
        memcore.Stack((BEFORE, BEFORE, BEHIND)),
        of(xlstm_block(mlstm), xlstm_block(mlstm), xlstm_block(slstm_layer)),
        on_jax=False,
        given=(
            "layer_0/model/forget_gate/bias",
            "layer_1/model/forget_gate/bias",
            "layer_2/model/memory/bias",
        ),
    ),
]
SHAPES = [
    ModelCase(
        "stack",
        memcore.Stack((memcore.GRU(4, 3), memcore.GRU(3, 6), memcore.LinearAttention(6, heads=2))),
        of(gru.ys, gru.ys, linear_attention.ys),
    ),
]
WRONG = {
    "models none": (lambda: memcore.Stack(()), r"^models is \(\), expected a tuple"),
    "models list": (lambda: memcore.Stack([memcore.GRU(3)]), r"^models is \[GRU.*expected a tuple"),
    "models names": (
        lambda: memcore.Stack(("gru",)),
        r"^models is \('gru',\), expected memcore\.M",
    ),
    "models widths": (
        lambda: memcore.Stack((memcore.GRU(4, 3), memcore.GRU(4))),
        r"^models\[1\] reads width 4 and 1 axes, expected width 3 and 1 axes",
    ),
}
