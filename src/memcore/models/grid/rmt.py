"""The Recurrent Memory Transformer."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.backend import as_draw, namespace, stop_gradient
from memcore.cell import Key, Params, State
from memcore.engine.resets import select
from memcore.fields import count, flag, number
from memcore.layers.memory_tokens import (
    first_memory,
    init_memory,
    next_memory,
    read_rows,
    write_rows,
    written,
)
from memcore.layers.segment_cell import SegmentCell
from memcore.layers.segment_tokens import emptied, moved
from memcore.layers.transformer_rows import init_rows
from memcore.registry import register
from memcore.types import Dtype


@register("rmt")
@dataclass(frozen=True)
class RMT(SegmentCell):
    """A Transformer over segments, which hands memory tokens from one to the next.

        [read; x; write] of a segment through the layers;   y = the middle rows, M' = the last m rows
        read rows see read rows; token t sees read rows and tokens s <= t; write rows see all
        read = write = M, or with ``separate`` embeddings read = M + R, write = W (+ stop_gradient(M))

    Segments stand on a grid. A start does not move it: the tokens behind it are another piece of the segment,
    which sees itself and initial read rows, and the last piece writes. Positions count the tokens of a piece.

    State: ``memory (past + 1, m, D)``, keys and values of its rows and of the tokens of the open segment,
    ``(layers, heads, rows, D / heads)``; with ``xl`` those of the tokens of the segment before. Cost per
    step ``O(layers D (D + segment + m))``; parallel inside a segment. The gradient keeps one memory per
    segment, and computes segments again (memory replay).

    Source: Bulatov et al., arXiv:2207.06881 and arXiv:2304.11062, in a pre-norm Transformer; separate
    embeddings, write to write and masks as in lucidrains' recurrent-memory-transformer-pytorch; XL memories:
    arXiv:1901.02860. MLPs have a gelu (by tanh); the last norm stands before y and M'.

    Args:
        in_features: D, width of inputs and outputs.
        layers: number of layers.
        heads: heads of each.
        segment: tokens of a segment.
        position: ``"learned"`` vectors, none for memory tokens, or ``"rope"``, in which they stand at 0.
        causal: whether tokens see those before them alone; if not, all of their piece that is in the call.
        memory_tokens: m.
        mlp_factor: hidden width of the MLPs over D.
        causal_memory: whether read rows of one memory, and write rows, see those before them alone.
        separate: whether read and write rows have embeddings of their own; M at starts is then zero.
        write_to_write: whether the memory is added to the separate write rows, without a gradient.
        xl: whether tokens and write rows see those of the last segment's last piece, without a gradient.
        past: how many memories before the last have read rows too, once there are any, marked by their age.
        mask_future: whether read rows of an older memory do not see a newer one's; it acts from two layers.
        horizon: at every border of this number since the start no gradient passes; None: it always does.
    """

    memory_tokens: int = count(8)
    mlp_factor: float = number(4.0, above=0)
    causal_memory: bool = flag(False)
    separate: bool = flag(False)
    write_to_write: bool = flag(False)
    xl: bool = flag(False)
    past: int = count(0, least=0)
    mask_future: bool = flag(True)
    horizon: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.write_to_write and not self.separate:
            raise ValueError("write_to_write is True, expected False without separate embeddings")

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width = as_draw(key, dtype), self.in_features
        hidden = max(1, round(self.mlp_factor * width))
        params = {
            **init_rows(draw, width, self.layers, self.heads, hidden),
            **init_memory(draw, width, self.memory_tokens, self.past, self.separate),
        }
        if self.position == "learned":
            shape = (self.segment, width)
            params["position"] = {"embedding": draw.normal("position", shape, 0.02)}
        return params

    def initial_state(self, params: Params) -> State:
        carried = first_memory(params, self.past)
        xp, zero = namespace(carried["memory"]), carried["memories"] - 1
        if self.horizon:
            carried["borders"] = zero
        if self.xl:
            shape = (self.layers, self.heads, self.segment, self.in_features // self.heads)
            nothing = xp.zeros(shape, dtype=carried["memory"].dtype)
            carried |= {"xl": {"k": nothing, "v": nothing}, "xl_count": zero}
        return self.opened(params, carried)

    def opened(self, params: Params, carried: State) -> State:
        """A segment without tokens: the read rows of what crossed the border."""
        read = read_rows(params, carried, self.heads, self.causal_memory, self.mask_future)
        return {**carried, "read": read, **emptied(read, self.in_features, self.segment)}

    def closed(self, params: Params, state: State) -> State:
        """What crosses the border at the end of a segment."""
        write = written(params, state, self.write_to_write)
        new = write_rows(params, state, write, self.heads, self.causal_memory)
        carried = next_memory(state, new)
        if self.horizon:
            carried["borders"] = (state["borders"] + 1) % self.horizon
            memory = carried["memory"]
            carried["memory"] = select(carried["borders"] == 0, stop_gradient(memory), memory)
        if self.xl:
            carried |= {"xl": moved(state, self.position == "rope"), "xl_count": state["count"]}
        return carried
