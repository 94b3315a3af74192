"""Titans with its memory as a layer."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.cell import Array, Model, Params
from memcore.engine import Parts
from memcore.layers.window_memory import WindowMemory
from memcore.models.grid.titans_mag import attention_and_memory
from memcore.registry import register


@register("titans_mal")
@dataclass(frozen=True)
class TitansMAL(WindowMemory):
    """A memory of all that came before, and attention over a window of what it says.

        m_t = M_t(x_t),   M the neural memory, written at every x_t
        y_t = attention of m_t to [p ; m_i],  t - window < i <= t

    p are persistent tokens, which every query sees, without a place; m_i have rotary ones. State:
    ``attention``, the window's keys and values; ``memory``, that of `NeuralMemory`. Cost per step
    ``O(in_features * window)`` and that of the memory; parallel inside a mini-batch. The memory's weights at
    starts have the label ``"memory"``.

    Source: Behrouz et al., Titans, arXiv:2501.00663, 4.3. The paper sets p before the sequence and sends it
    through the memory, so that the window leaves it behind; here it stays.

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

    def run_parts(self, params: Params, xs: Array, run: Parts) -> Array:
        m = run("memory", params["memory"], xs)
        return run("attention", params["attention"], m)
