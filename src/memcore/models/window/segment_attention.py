"""Attention with segment recurrence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from memcore import nn
from memcore.backend import as_draw, namespace, stop_gradient, tree_map
from memcore.cell import Array, Cell, Inputs, Key, Params, State
from memcore.fields import count
from memcore.layers.heads import head_sizes, init_heads, project_heads
from memcore.nn import wide
from memcore.registry import register
from memcore.types import Dtype


@register("segment_attention")
@dataclass(frozen=True)
class SegmentAttention(Cell):
    """Causal attention inside a segment, and to what it said itself in the segment before.

        q, k, v = W_q x_t, W_k x_t, W_v x_t;   m_i = stop_gradient(y_i) for i in the segment before
        y_t = W_o sum_i softmax_i(q_t . [W_k m, k]_i / sqrt(K)) [W_v m, v]_i,   i <= t in this segment

    So what is told reaches over any number of segments. Segments stand on a grid: a start clears the memory
    and does not move it, and nobody attends across one.

    State: ``segment`` places each of keys ``(heads, K)``, values ``(heads, V)`` and outputs
    ``(in_features,)`` of this segment, and of keys and values of the one before, oldest first, with flags of
    those that are filled. Cost per step ``O(segment * heads * (K + V))``; sequential in time.

    Source: Dai et al., Transformer-XL, arXiv:1901.02860, 3.2, as in `memorax.SegmentRecurrence` around
    its attention: the memory are outputs of this layer, where the paper has its inputs, and there are no
    relative positions. Differs from it: segments are not calls, and places that nobody filled are not read.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads.
        segment: steps of a segment.
        key_size: K per head; ``in_features / heads`` if None.
        value_size: V per head; ``in_features / heads`` if None.
    """

    heads: int = count(4)
    segment: int = count(32)
    key_size: int | None = count(None)
    value_size: int | None = count(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.sizes

    @property
    def sizes(self) -> tuple[int, int]:
        """K and V per head."""
        return head_sizes(self.in_features, self.heads, self.key_size, self.value_size)

    @property
    def grid(self) -> int:
        return self.segment

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        return init_heads(as_draw(key, dtype), self.in_features, self.heads, self.sizes)

    def initial_state(self, params: Params) -> State:
        n, h, (k, v) = self.segment, self.heads, self.sizes
        places: dict[str, Array] = {"k": np.zeros((n, h, k)), "v": np.zeros((n, h, v))}
        places["filled"] = np.zeros(n, dtype=bool)
        return {"before": places, "now": {**places, "y": np.zeros((n, self.in_features))}}

    def embed(self, params: Params, x: Array) -> Inputs:
        return {name: wide(u) for name, u in project_heads(params, x, self.heads).items()}

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        before, now = state["before"], state["now"]
        xp, axis = namespace(now["k"]), now["filled"].ndim - 1
        rest = (slice(None),) * axis + (slice(1, None), ...)

        def append(old: Array, new: Array) -> Array:
            return xp.concat([old[rest], xp.expand_dims(new, axis=axis)], axis=axis)

        own = {"k": inputs["k"], "v": inputs["v"], "filled": xp.ones_like(now["filled"][..., 0])}
        own = {name: append(now[name], new) for name, new in own.items()}
        seen = {name: xp.concat([before[name], own[name]], axis=axis) for name in own}
        y = nn.linear(params["output"], nn.merge_heads(_attend(inputs["q"], **seen)))
        return {"before": before, "now": {**own, "y": append(now["y"], y)}}

    def read(self, params: Params, state: State, inputs: Inputs) -> Array:
        return state["now"]["y"][..., -1, :]

    def turn(self, params: Params, state: State) -> State:
        now, names = state["now"], {"k": "key", "v": "value"}
        said = stop_gradient(now["y"])
        before = {
            short: nn.split_heads(nn.linear(params[name], said), self.heads)
            for short, name in names.items()
        }
        before["filled"] = now["filled"]
        return {"before": before, "now": tree_map(namespace(said).zeros_like, now)}


def _attend(q: Array, k: Array, v: Array, filled: Array) -> Array:
    """``q (..., H, K)`` over the filled of ``k, v (..., N, H, *)``: ``(..., H, V)``."""
    xp = namespace(q)
    k, v = xp.moveaxis(k, -2, -3), xp.moveaxis(v, -2, -3)
    scores = (k @ q[..., None])[..., 0] * q.shape[-1] ** -0.5
    floor = xp.asarray(float(xp.finfo(scores.dtype).min) / 2, dtype=scores.dtype)
    shares = nn.softmax(xp.where(filled[..., None, :], scores, floor))
    return (shares[..., None, :] @ v)[..., 0, :]
