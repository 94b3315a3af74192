"""Models one behind the other, by the references of each."""

from __future__ import annotations

from typing import Any

import memcore
from cases.models.base import ModelCase, Reference
from cases.models.gated import gru
from cases.models.matrix import linear_attention


def of(*references: Reference) -> Reference:
    """The references, each given what the one before it gives."""

    def run(params: Any, xs: Any, starts: Any) -> Any:
        for i, reference in enumerate(references):
            xs = reference(params[f"layer_{i}"], xs, starts)
        return xs

    return run


CASES = [
    ModelCase(
        "stack",
        memcore.Stack((memcore.GRU(4, hidden_size=6), memcore.LinearAttention(6, heads=2))),
        of(gru.ys, linear_attention.ys),
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
