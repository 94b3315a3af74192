"""ATLAS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from memcore.backend import Draw
from memcore.cell import Params
from memcore.fields import count, number
from memcore.layers.inner_block import InnerBlock
from memcore.ops.inner.omega import AtlasRule, features
from memcore.registry import register


@register("atlas")
@dataclass(frozen=True)
class Atlas(InnerBlock):
    """A matrix per head, trained at every step on the last pairs, by steps that Muon makes orthogonal.

        G_t = sum_{i = t-c+1}^t gamma_i 2 phi(k_i)^T (phi(k_i) M_{t-1} - v_i)
        S_t = theta_t S_{t-1} + G_t,   M_t = alpha_t M_{t-1} - eta_t NS(S_t)
        y_t = W_o (RMSNorm(phi(q_t) M_t) * silu(W_g x_t))

    with ``alpha, gamma, theta, eta / rate = sigmoid`` of linear maps of ``x_t``, NS five rounds of
    Newton-Schulz, and at starts M a parameter and S zero; keys, queries and values as in `NeuralMemory`.
    A step moves M by about eta in every direction that S has, however small its gradient: eta says how
    exactly a value is kept. State: ``memory``, M and S ``(heads, F, D)`` and the last c - 1 pairs, which a
    start clears; ``conv``, the last inputs of the convolutions. Cost per step ``O(heads * F * D * (c +
    D))``; not parallel over time.

    Source: Behrouz et al., ATLAS, arXiv:2505.23735, equations 32 and 33. One gamma belongs to a pair in every
    window; the paper's coefficients of phi are learned, and its memory is an MLP where it is not linear.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        conv_size: length of the convolutions, at least 2.
        rate: the largest inner learning rate eta.
        window: c, the pairs that a step is trained on.
        degree: of the polynomial phi; 1 is none, 2 the paper's. Its coefficients are ``1 / i!``.
    """

    rate: float = number(0.1, above=0)
    window: int = count(4)
    degree: int = count(1)

    gates: ClassVar[dict[str, float]] = {"rate": 0.0, "keep": 4.0, "gamma": 0.0, "momentum": 0.0}

    @property
    def rule(self) -> AtlasRule:
        return AtlasRule(self.size, heads=self.heads, window=self.window, degree=self.degree)

    def init_weight(self, draw: Draw) -> Params:
        width = features(self.size, self.degree)
        shape = (self.heads, width, self.size)
        return {"weight": draw.normal("weight", shape, width**-0.5, label="memory")}
