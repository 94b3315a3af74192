"""Titans with its memory as a context."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Inputs, Key, Params, State
from memcore.layers import memory_context as context
from memcore.layers.heads import init_heads
from memcore.layers.segment_memory import SegmentMemory
from memcore.registry import register
from memcore.types import Dtype


@register("titans_mac")
@dataclass(frozen=True)
class TitansMAC(SegmentMemory):
    """Attention inside a segment, to its tokens and to what a memory of all segments says to each of them.

        h_t = m(M, x_t), M being the memory before the segment;   m(M, u) = W_m RMSNorm(M(q(u)))
        y_t = attention of x_t to [p ; h_j ; x_j], j <= t in this segment
        M_t = M_{t-1} after one step of descent with momentum and forgetting at y_t, as `NeuralMemory`
        o_t = RMSNorm(y_t) * silu(RMSNorm(m(M_t, y_t)))

    p are persistent tokens. Gradients are taken at the memory before the segment. Causal by token: h_j is
    seen from token j on; in the paper's picture token t would see t + 1. Segments stand on a grid: a start
    clears the memory, hides what stands before it in its segment, and does not move the grid.

    State: ``memory``, that of `NeuralMemoryRule`; ``segment``, keys and values ``(heads, segment, D)`` of its
    tokens and of h, and the ``count`` of them. Cost per step ``O(segment * in_features)`` and that of the
    memory; parallel inside a segment. Weights at starts: label ``"memory"``.

    Source: Behrouz et al., Titans, arXiv:2501.00663, 4.1. Left open there, and chosen here: silu and norms in
    o_t; rotary positions of tokens and of h alike, none for p; sigmoids for the memory's gates. Attention
    takes the place of the memory's convolutions.

    Args:
        in_features: width of inputs and outputs.
        heads: heads of the attention and of the memory; D is ``in_features / heads``.
        segment: tokens of a segment, at least 2.
        persistent: number of persistent tokens.
        depth: layers of M, 1 to 4.
        hidden_size: width between the layers of M; 2 D if None.
        rate: the largest inner learning rate; near 1 / segment descent diverges on tokens that repeat.
        max_grad_norm: what the norm of the gradient of each token and head is cut to; None: it is not.
    """

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, size = as_draw(key, dtype), self.in_features, self.size
        return {
            "persistent": draw.normal("persistent", (self.persistent, width), 0.02, label="matrix"),
            "attention": init_heads(draw.child("attention"), width, self.heads, (size, size)),
            "memory": context.init_memory(draw.child("memory"), width, self.heads, self.widths),
            "norm": {"scale": draw.ones((width,))},
            "gate_norm": {"scale": draw.ones((width,))},
        }

    def step(self, params: Params, state: State, inputs: Inputs) -> State:
        old, segment = state["memory"], state["segment"]
        found = self.rule.read({}, {"weights": old["anchor"]}, {"q": inputs["asked"]})
        h = context.said(params["memory"], found)
        segment = self.appended(params, segment, inputs, h)
        y = self._attended(params, segment, inputs)
        u = context.written(params["memory"], y, self.heads, self.rate)
        return {"memory": self.rule.moves({}, u)[0](old), "segment": segment}

    def read(self, params: Params, state: State, inputs: Inputs) -> dict[str, Array]:
        y = self._attended(params, state["segment"], inputs)
        asked = context.ask(params["memory"], y, self.heads)
        found = self.rule.read({}, state["memory"], {"q": asked})
        return {"y": y, "m": context.said(params["memory"], found)}

    def output(self, params: Params, read: dict[str, Array], inputs: Inputs) -> Array:
        gate = nn.silu(nn.rms_norm(params["gate_norm"], read["m"]))
        return nn.rms_norm(params["norm"], read["y"]) * gate

    def _attended(self, params: Params, segment: State, inputs: Inputs) -> Array:
        """Attention of the segment's last token, ``(..., width)``."""
        q, place = inputs["q"][..., None, :, :], segment["count"][..., None] - 1
        return self.attended(params, q, place, [(segment, self.filled(segment))])[..., 0, :]
