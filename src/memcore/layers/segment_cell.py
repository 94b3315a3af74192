"""A Transformer whose segments stand on a grid, and hand something to the next one."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import namespace
from memcore.cell import Array, Inputs, Params, Reads, Starts, State
from memcore.fields import choice, count, flag
from memcore.layers.heads import head_size
from memcore.layers.memory_tokens import CARRIED
from memcore.layers.segment_fold import SegmentFold
from memcore.layers.segment_tokens import run_tokens
from memcore.ops.window.positions import check_position
from memcore.types import Value


@dataclass(frozen=True)
class SegmentCell(SegmentFold):
    """Rows of tokens through the layers; a subclass says what stands at a segment's two ends."""

    layers: int = count(2)
    heads: int = count(4)
    segment: int = count(32)
    position: str = choice("learned", "learned", "rope")
    causal: bool = flag(True)  # type: ignore[assignment]

    def __post_init__(self) -> None:
        super().__post_init__()
        size = head_size(self.in_features, self.heads)
        check_position(self.position if self.position == "rope" else None, size)

    @property
    def grid(self) -> int:
        return self.segment

    @property
    def methods(self) -> tuple[str, ...]:
        return ("sequential", "fused") if self.causal else ("fused",)

    def carried(self, state: State) -> State:
        return {name: state[name] for name in CARRIED if name in state}

    def embed(self, params: Params, x: Array) -> Inputs:
        return nn.wide(x)

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        xp = namespace(inputs)
        used = xp.ones_like(inputs[..., :1], dtype=xp.bool)
        return self.rows(params, state, inputs[..., None, :], None, used)[0]

    def read(self, params: Params, state: State, inputs: Inputs) -> Reads:
        return state["y"]

    def rows(
        self, params: Params, state: State, u: Inputs, begins: Starts, used: Array, *,
        fresh: State = None,
    ) -> tuple[State, Array]:  # fmt: skip
        how: dict[str, Value] = {"heads": self.heads, "causal": self.causal}
        how["rotary"] = self.position == "rope"
        return run_tokens(params, u, state, fresh, begins, used, **how)
