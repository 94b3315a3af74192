"""What the blocks of Miras and OmegaNet share around their memories."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore import nn
from memcore.backend import Draw, as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, number
from memcore.layers.convolved import HEADS, convolved_heads, init_convolved
from memcore.layers.heads import head_size
from memcore.layers.short_convolution import ShortConvolution
from memcore.nn import wide
from memcore.ops.inner.rule import InnerRule
from memcore.types import Dtype


@dataclass(frozen=True)
class InnerBlock(Model):
    """A memory behind convolutions, with gates by token and head, a norm and an output gate."""

    heads: int = count(4)
    conv_size: int = count(4, least=2)
    rate: float = number(0.5, above=0)

    gates: ClassVar[dict[str, float]] = {"rate": 0.0, "keep": 4.0}
    """The gates, which are sigmoids, and the biases that they begin with."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.size

    @property
    def size(self) -> int:
        """D."""
        return head_size(self.in_features, self.heads)

    @property
    def rule(self) -> InnerRule:
        """The memory."""
        raise NotImplementedError

    @property
    def parts(self) -> dict[str, Model]:
        return {"conv": ShortConvolution(3 * self.in_features, self.conv_size), "memory": self.rule}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw, width, h = as_draw(key, dtype), self.in_features, self.heads
        gates = {name: nn.dense(draw, name, width, h, bias=True) for name in self.gates}
        for name, bias in self.gates.items():
            gates[name]["bias"] = gates[name]["bias"] + bias
        return {
            **init_convolved(draw, width, dict.fromkeys(HEADS, width), self.conv_size),
            **gates,
            **self.init_weight(draw),
            "gate": nn.dense(draw, "gate", width, width),
            "norm": {"scale": draw.ones((self.size,))},
            "output": nn.dense(draw, "output", width, width),
        }

    def init_weight(self, draw: Draw) -> Params:
        """The weights at starts."""
        shape = (self.heads, self.size, self.size)
        return {"weight": draw.normal("weight", shape, self.size**-0.5, label="memory")}

    def memory(self, params: Params) -> Params:
        """The parameters of the memory."""
        return {"weight": params["weight"]}

    def gated(self, name: str, z: Array) -> Array:
        """A gate from its linear map."""
        return self.rate * nn.sigmoid(z) if name == "rate" else nn.sigmoid(z)

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        q, k, v = convolved_heads(params, xs, run, self.heads)
        gates = {n: self.gated(n, wide(nn.linear(params[n], xs))) for n in self.gates}
        out = run("memory", self.memory(params), {"q": q, "k": k, "v": v, **gates})
        gate = nn.silu(nn.split_heads(nn.linear(params["gate"], xs), self.heads))
        out = nn.rms_norm(params["norm"], out) * gate
        return nn.linear(params["output"], nn.merge_heads(out))
