"""What the cells of test-time training share around their inner models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from memcore import nn
from memcore.backend import Draw, broadcast_like
from memcore.cell import Cell
from memcore.fields import count, number
from memcore.layers.heads import head_size, init_heads
from memcore.types import Array, Inputs, Params, Reads, Starts, State


@dataclass(frozen=True)
class TTTCell(Cell):
    """An inner model per head, moved at the end of every mini-batch of a grid; a norm in front of the output.

    A subclass gives the inner model: `init` from `init_around`, `step`, `read`, `turn`, and `mini_batches`,
    all rows of the mini-batches at once.
    """

    heads: int = count(4)
    mini_batch: int = count(16)
    rate: float = number(0.1, above=0)
    eps: float = number(1e-6, above=0)

    mini_batches: ClassVar[Callable[..., tuple[State, Reads]]]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size

    @property
    def size(self) -> int:
        """D."""
        return head_size(self.in_features, self.heads)

    @property
    def grid(self) -> int:
        return self.mini_batch

    def init_around(self, draw: Draw) -> Params:
        """All parameters but those of the inner model."""
        width, h, d = self.in_features, self.heads, self.size
        return {
            **init_heads(draw, width, h, (d, d)),
            "rate": nn.dense(draw, "rate", width, h, bias=True),
            "norm": {"scale": draw.ones((h, d)), "bias": draw.zeros((h, d))},
            "output_norm": {"scale": draw.ones((width,)), "bias": draw.zeros((width,))},
        }

    def output(self, params: Params, read: Reads, inputs: Inputs) -> Array:
        y = nn.layer_norm(params["output_norm"], nn.merge_heads(read), self.eps)
        return nn.linear(params["output"], y)

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
        phase: Array = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        fresh = broadcast_like(self.initial_state(params) if initial is None else initial, state)
        args = (inputs, state, fresh, starts, valid, phase, self.mini_batch, self.eps)
        return type(self).mini_batches(params["norm"], *args)
