"""Yaad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore import nn
from memcore.cell import Array
from memcore.fields import choice
from memcore.layers.inner_block import InnerBlock
from memcore.ops.inner.yaad import LOSSES, YaadRule
from memcore.registry import register


@register("yaad")
@dataclass(frozen=True)
class Yaad(InnerBlock):
    """A matrix per head that outliers cannot overwrite: trained at every step by a robust loss.

        e_t = k_t W_{t-1} - v_t;   g_t = 2 e_t if |e_t| <= delta_t else delta_t sgn(e_t)
        W_t = alpha_t W_{t-1} - eta_t k_t^T g_t,   y_t = W_o (RMSNorm(q_t W_t) * silu(W_g x_t))

    with ``alpha, eta / rate = sigmoid``, ``delta = softplus`` of linear maps of ``x_t``; keys, queries
    and values as in `NeuralMemory`. State: ``memory``, W ``(heads, D, D)``; ``conv``, the last inputs
    of the convolutions. Cost per step ``O(heads * D^2)``; not parallel over time.

    Source: Behrouz et al., Miras, arXiv:2504.13173, equation 26.
    Here M is a linear map, and gates are one number per head; the paper's language models have an MLP with a
    residual and a norm, and gates per channel of low rank.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        conv_size: length of the convolutions, at least 2.
        rate: the largest inner learning rate.
        loss: ``"switched"`` as in the equations, or Huber's of the ``"norm"`` or of each ``"coordinate"``.
    """

    loss: str = choice("switched", *LOSSES)

    gates: ClassVar[dict[str, float]] = {"rate": 0.0, "keep": 4.0, "threshold": 1.0}

    @property
    def rule(self) -> YaadRule:
        return YaadRule(self.size, loss=self.loss)

    def gated(self, name: str, z: Array) -> Array:
        return nn.softplus(z) if name == "threshold" else super().gated(name, z)
