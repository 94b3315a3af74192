"""Titans with its memory as a gate."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.backend import as_draw
from memcore.cell import Array, Key, Model, Params
from memcore.engine import Parts
from memcore.layers.window_memory import WindowMemory
from memcore.models.inner.neural_memory import NeuralMemory
from memcore.models.window.attention import Attention
from memcore.registry import register
from memcore.types import Dtype


def attention_and_memory(model: WindowMemory) -> dict[str, Model]:
    """The parts of `TitansMAG` and `TitansMAL`."""
    width, heads = model.in_features, model.heads
    inner = (model.depth, model.hidden_size, model.mini_batch, model.conv_size, model.rate)
    attention = Attention(width, heads, model.window, persistent=model.persistent)
    memory = NeuralMemory(width, heads, *inner, max_grad_norm=model.max_grad_norm)
    return {"attention": attention, "memory": memory}


@register("titans_mag")
@dataclass(frozen=True)
class TitansMAG(WindowMemory):
    """Attention over a window, gated by a memory of all that came before.

        a_t = attention of x_t to [p ; x_i],  t - window < i <= t
        m_t = M_t(x_t),   M the neural memory, written at every x_t
        y_t = RMSNorm(a_t) * silu(RMSNorm(m_t))

    p are persistent tokens without a place; x_i have rotary ones. State: ``attention``, the window's
    keys and values; ``memory``, that of `NeuralMemory`. Cost per step
    ``O(in_features * window)`` and that of the memory; parallel inside a mini-batch. The memory's weights at
    starts have the label ``"memory"``.

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
        max_grad_norm: what the norm of the gradient of each row and head is cut to; None: it is not.
    """

    @property
    def parts(self) -> dict[str, Model]:
        return attention_and_memory(self)

    def init(self, key: Key, dtype: Dtype = "float32") -> Params:
        draw = as_draw(key, dtype)
        norms = {name: {"scale": draw.ones((self.in_features,))} for name in ("norm", "gate_norm")}
        return {**super().init(draw), **norms}

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        a, m = (run(name, params[name], xs) for name in ("attention", "memory"))
        return nn.rms_norm(params["norm"], a) * nn.silu(nn.rms_norm(params["gate_norm"], m))
