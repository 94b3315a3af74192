"""OmegaNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import Draw
from memcore.cell import Params
from memcore.fields import count
from memcore.layers.inner_block import InnerBlock
from memcore.ops.inner.omega import OmegaRule
from memcore.registry import register


@register("omega_net")
@dataclass(frozen=True)
class OmegaNet(InnerBlock):
    """A matrix per head, trained at every step on the last pairs instead of one.

        G_t = sum_{i = t-c+1}^t gamma_i 2 phi(k_i)^T (phi(k_i) S_{t-1} - v_i)
        S_t = alpha_t S_{t-1} - eta_t G_t,   y_t = W_o (RMSNorm(phi(q_t) S_t) * silu(W_g x_t))

    with ``alpha, gamma, eta / rate = sigmoid`` of linear maps of ``x_t``, S zero at starts; keys,
    queries and values as in `NeuralMemory`. State: ``memory``, S ``(heads, F, D)`` and the last c - 1
    pairs, which a start clears; ``conv``, the last inputs of the convolutions. Cost per step ``O(heads
    * c * F * D)``; not parallel over time.

    Source: Behrouz et al., ATLAS, arXiv:2505.23735, equations 9 and 10. One gamma belongs to a pair in every
    window; the paper's coefficients of phi are learned, and its memory is an MLP where it is not linear.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        conv_size: length of the convolutions, at least 2.
        rate: the largest inner learning rate.
        window: c, the pairs that a step is trained on.
        degree: of the polynomial phi; 1 is none, 2 the paper's. Its coefficients are ``1 / i!``.
    """

    window: int = count(4)
    degree: int = count(1)

    gates: ClassVar[dict[str, float]] = {"rate": 0.0, "keep": 4.0, "gamma": 0.0}

    @property
    def rule(self) -> OmegaRule:
        return OmegaRule(self.size, heads=self.heads, window=self.window, degree=self.degree)

    def init_weight(self, draw: Draw) -> Params:
        return {}

    def memory(self, params: Params) -> Params:
        return {}
