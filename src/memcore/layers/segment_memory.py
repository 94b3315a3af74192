"""Attention inside the segments of a grid, beside a neural memory that crosses their borders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from memcore import nn
from memcore.backend import namespace
from memcore.cell import Array, Inputs, Params, Reads, Starts, State
from memcore.engine.resets import select
from memcore.fields import count, number
from memcore.layers import memory_context as context
from memcore.layers.heads import project_heads
from memcore.layers.neural_weights import layer_widths
from memcore.layers.segment_fold import SegmentFold
from memcore.layers.segment_tokens import places, put
from memcore.ops.inner.mini_batches import sequences
from memcore.ops.inner.neural_memory import NeuralMemoryRule
from memcore.ops.window.positions import check_position


@dataclass(frozen=True)
class SegmentMemory(SegmentFold):
    """Attention with rotary positions beside a neural memory, with the same heads.

    The state is ``{"memory", "segment"}``: the rule's, and `memory_context.MAPS` of ``count`` tokens.
    """

    row_ndim: ClassVar[int] = 2

    heads: int = count(4)
    depth: int = count(2)
    hidden_size: int | None = count(None)
    rate: float = number(0.01, above=0)
    segment: int = count(16, least=2)
    persistent: int = count(4)
    max_grad_norm: float | None = number(10.0, above=0, optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_position("rope", self.size)

    @property
    def grid(self) -> int:
        return self.segment

    @property
    def size(self) -> int:
        """D."""
        return self.widths[0]

    @property
    def widths(self) -> list[int]:
        """Of the memory's layers, from D to D."""
        return layer_widths(self.in_features, self.heads, self.depth, self.hidden_size)

    @property
    def rule(self) -> NeuralMemoryRule:
        """The memory: a segment is a mini-batch."""
        return NeuralMemoryRule(self.size, self.segment, True, self.max_grad_norm)

    def initial_state(self, params: Params) -> State:
        weights = params["memory"]["weights"]
        memory = self.rule.initial_state({"weights": [weights[name] for name in sorted(weights)]})
        empty = np.zeros((self.heads, self.segment, self.size))
        segment = dict.fromkeys(context.MAPS, empty) | {"count": np.zeros((), np.int32)}
        return {"memory": memory, "segment": segment}

    def carried(self, state: State) -> State:
        return {name: state["memory"][name] for name in ("weights", "momentum")}

    def opened(self, params: Params, carried: State) -> State:
        like = carried["weights"][0][..., :1, :1]  # (*batch, H, 1, 1)
        xp = namespace(like)
        shape = (*like.shape[:-2], self.segment, self.size)
        empty = dict.fromkeys(context.MAPS, xp.zeros_like(xp.broadcast_to(like, shape)))
        segment = {**empty, "count": xp.zeros_like(like[..., 0, 0, 0], dtype=xp.int32)}
        return {"memory": self.rule.turn({}, carried), "segment": segment}

    def closed(self, params: Params, state: State) -> State:
        return self.carried(state)

    def embed(self, params: Params, x: Array) -> Inputs:
        heads = project_heads(params["attention"], x, self.heads)
        asked = context.ask(params["memory"], x, self.heads)
        return {name: nn.wide(u) for name, u in {**heads, "asked": asked}.items()}

    def attended(
        self, params: Params, q: Array, place: Array, seen: list[tuple[State, Array]]
    ) -> Array:
        """Attention of queries ``(*batch, R, H, D)``: ``(*batch, R, width)``."""
        p = project_heads(params["attention"], params["persistent"], self.heads)
        return nn.linear(params["attention"]["output"], context.attend(q, place, seen, p))

    def rows(
        self, params: Params, state: State, u: Inputs, begins: Starts, used: Array, *, fresh: State
    ) -> tuple[State, Reads]:
        """``y`` and ``m``, ``(*batch, R, width)``: what the memory says is known before a segment begins,
        and what it learns is a product of matrices (`NeuralMemoryRule`)."""
        xp, memory = namespace(used), params["memory"]
        first, last, pairs = sequences(begins, used)
        seen = pairs & used[..., None, :]
        old = state["segment"]
        place = xp.sum(xp.astype(seen, xp.int32), axis=-1, dtype=xp.int32) - 1
        place = place + xp.where(first, old["count"][..., None], xp.zeros_like(place))
        h = self.rule.recall(state["memory"], fresh["memory"], u["asked"], begins)
        h = context.said(memory, h)
        new = context.token_rows(params["attention"], u, h, place, self.heads)
        y = self.attended(
            params, u["q"], place, [(old, self.filled(old) & first[..., None]), (new, seen)]
        )
        learned = context.written(memory, y, self.heads, self.rate)
        learned["q"] = context.ask(memory, y, self.heads)
        after, m = self.rule.rows(state["memory"], fresh["memory"], learned, begins, used)

        kept, keep = select(first[..., -1], old, fresh["segment"]), used & last
        into = places(place, keep, self.segment)[..., None, :, :]
        segment = {name: put(kept[name], new[name], into) for name in context.MAPS}
        segment["count"] = kept["count"] + xp.sum(
            xp.astype(keep, xp.int32), axis=-1, dtype=xp.int32
        )
        return {"memory": after, "segment": segment}, {"y": y, "m": context.said(memory, m)}

    def appended(self, params: Params, segment: State, inputs: Inputs, h: Array) -> State:
        """The segment with one token more, and ``h (..., width)``, what the memory said to it."""
        place, xp = segment["count"][..., None], namespace(h)
        u = {name: inputs[name][..., None, :, :] for name in ("k", "v")}
        new = context.token_rows(params["attention"], u, h[..., None, :], place, self.heads)
        into = places(place, xp.ones_like(place, dtype=xp.bool), self.segment)[..., None, :, :]
        kept = {name: put(segment[name], new[name], into) for name in context.MAPS}
        return {**kept, "count": segment["count"] + 1}

    def filled(self, segment: State) -> Array:
        """Which places hold a token: ``(*batch, 1, segment)``."""
        slot = namespace(segment["count"]).arange(self.segment, dtype=segment["count"].dtype)
        return (slot < segment["count"][..., None])[..., None, :]
