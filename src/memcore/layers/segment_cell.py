"""A Transformer whose segments stand on a grid, and hand something to the next one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from memcore import nn
from memcore.backend import broadcast_like, namespace
from memcore.cell import Array, Cell, Inputs, Params, Reads, Starts, State
from memcore.fields import choice, count, flag
from memcore.layers.heads import head_size
from memcore.layers.memory_tokens import CARRIED
from memcore.layers.segment_fold import fold_segments
from memcore.layers.segment_tokens import run_tokens
from memcore.ops.window.positions import check_position
from memcore.types import Value


@dataclass(frozen=True)
class SegmentCell(Cell):
    """Steps, turns and whole sequences of a model that says what stands at a segment's two ends.

    A subclass gives `opened`, the state in front of a segment, and `closed`, what crosses the border
    behind it.
    """

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

    def opened(self, params: Params, carried: State) -> State:
        """The state of a segment without tokens."""
        raise NotImplementedError

    def closed(self, params: Params, state: State) -> State:
        """What crosses the border at the end of a segment."""
        raise NotImplementedError

    def embed(self, params: Params, x: Array) -> Inputs:
        return nn.wide(x)

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        xp = namespace(inputs)
        used = xp.ones_like(inputs[..., :1], dtype=xp.bool)
        return self._rows(params, state, inputs[..., None, :], None, used)[0]

    def read(self, params: Params, state: State, inputs: Inputs) -> Reads:
        return state["y"]

    def turn(self, params: Params, state: State) -> State:
        return self.opened(params, self.closed(params, state))

    def fused(
        self, params: Params, state: State, inputs: Inputs, starts: Starts, *,
        initial: State = None, valid: Array = None, chunk_size: int | None = None,
        phase: Array = None,
    ) -> tuple[State, Reads]:  # fmt: skip
        fresh = broadcast_like(self.initial_state(params) if initial is None else initial, state)
        rows = partial(self._rows, params, fresh=fresh)
        opened, closed = partial(self.opened, params), partial(self.closed, params)
        carried = {name: state[name] for name in CARRIED if name in state}
        where: dict[str, Value] = {"phase": phase, "segment": self.segment}
        return fold_segments(rows, opened, closed, carried, state, inputs, starts, valid, **where)

    def _rows(
        self, params: Params, state: State, xs: Array, begins: Starts, used: Array,
        fresh: State = None,
    ) -> tuple[State, Array]:  # fmt: skip
        """Tokens of one segment."""
        how: dict[str, Value] = {"heads": self.heads, "causal": self.causal}
        how["rotary"] = self.position == "rope"
        return run_tokens(params, xs, state, fresh, begins, used, **how)
