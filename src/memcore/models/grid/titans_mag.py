"""Titans with its memory as a gate."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.fields import count, number
from memcore.models.inner.neural_memory import NeuralMemory
from memcore.models.window.attention import Attention
from memcore.registry import register
from memcore.types import Dtype


@dataclass(frozen=True)
class TitansWindow(Model):
    """Attention over a window, with persistent tokens, and a neural memory, with the same heads."""

    heads: int = count(4)
    window: int = count(64)
    persistent: int = count(4)
    depth: int = count(2)
    hidden_size: int | None = count(None)
    mini_batch: int = count(8)
    conv_size: int = count(4, least=2)
    rate: float = number(0.1, above=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.parts

    @property
    def parts(self) -> dict[str, Model]:
        width, heads = self.in_features, self.heads
        memory = NeuralMemory(
            width, heads, self.depth, self.hidden_size, self.mini_batch, self.conv_size, self.rate
        )
        attention = Attention(width, heads, self.window, persistent=self.persistent)
        return {"attention": attention, "memory": memory}

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        return {name: part.init(draw.child(name)) for name, part in self.parts.items()}


@register("titans_mag")
@dataclass(frozen=True)
class TitansMAG(TitansWindow):
    """Attention over a window, gated by a memory of all that came before.

        a_t = attention of x_t to [p ; x_i],  t - window < i <= t
        m_t = M_t(x_t),   M the neural memory, written at every x_t
        y_t = RMSNorm(a_t) * silu(RMSNorm(m_t))

    p are persistent tokens without a place; x_i have rotary ones. State: ``attention``, the window's
    keys and values; ``memory``, that of `NeuralMemory`. Cost per step: that of both; parallel inside a
    mini-batch. The memory's weights at starts have the label ``"memory"``.

    Source: Behrouz et al., Titans, arXiv:2501.00663, 4.2. Left open there, and chosen here: silu for the
    nonlinearity; what the memory would learn from p at every start is in its trained weights at starts.

    Args:
        in_features: width of inputs and outputs.
        heads: heads of the attention and of the memory; D is ``in_features / heads``.
        window: how many inputs attention sees.
        persistent: number of persistent tokens.
        depth: layers of M, 1 to 4.
        hidden_size: width between the layers of M; 2 D if None.
        mini_batch: rows whose gradients are taken at the same weights.
        conv_size: length of the memory's convolutions, at least 2.
        rate: the largest inner learning rate.
    """

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        norms = {name: {"scale": draw.ones((self.in_features,))} for name in ("norm", "gate_norm")}
        return {**super().init(draw), **norms}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        a, m = (run(name, params[name], xs) for name in ("attention", "memory"))
        return nn.rms_norm(params["norm"], a) * nn.silu(nn.rms_norm(params["gate_norm"], m))
