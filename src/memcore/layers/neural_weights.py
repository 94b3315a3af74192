"""The gates and the weights of a neural memory, in Titans' memory alone and beside attention."""

from __future__ import annotations

from memcore import nn
from memcore.backend import Draw
from memcore.cell import Params
from memcore.layers.heads import head_size
from memcore.ops.inner.neural_memory import DEPTH

GATES = ("rate", "momentum", "forget")


def layer_widths(in_features: int, heads: int, depth: int, hidden_size: int | None) -> list[int]:
    """The widths of M per head, from its inputs to its outputs.

    Raises:
        ValueError: ``heads`` does not divide ``in_features``, or ``depth`` is more than there can be.
    """
    size = head_size(in_features, heads)
    if depth > DEPTH:
        raise ValueError(f"depth is {depth}, expected at most {DEPTH}")
    return [size, *[hidden_size or 2 * size] * (depth - 1), size]


def init_neural(draw: Draw, width: int, heads: int, widths: list[int]) -> Params:
    """Gates and weights at starts. theta begins at half of its largest, eta at 1/2 and alpha at 1/50."""
    gates = {name: nn.dense(draw, name, width, heads, bias=True) for name in GATES}
    gates["forget"]["bias"] = gates["forget"]["bias"] - 4.0
    weights = {
        f"layer_{i}": draw.normal(f"layer_{i}", (heads, a, b), a**-0.5, label="memory")
        for i, (a, b) in enumerate(zip(widths, widths[1:], strict=False))
    }
    return {**gates, "weights": weights}
