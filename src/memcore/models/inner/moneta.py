"""Moneta."""

from __future__ import annotations

from dataclasses import dataclass

from memcore.fields import number
from memcore.layers.inner_block import InnerBlock
from memcore.ops.inner.moneta import MonetaRule
from memcore.registry import register


@register("moneta")
@dataclass(frozen=True)
class Moneta(InnerBlock):
    """A matrix per head, trained at every step by a cubic loss and normed by its fourth powers.

        e_t = k_t W_{t-1} - v_t;   A_t = alpha_t A_{t-1} - eta_t 3 k_t^T (sgn(e_t) e_t^2)
        W_t = A_t / |A_t|_4^2,   y_t = W_o (RMSNorm(q_t W_t) * silu(W_g x_t))

    with ``alpha, eta / rate = sigmoid`` of linear maps of ``x_t``; keys, queries and values as in
    `NeuralMemory`. State: ``memory``, A ``(heads, D, D)``; ``conv``, the last inputs of the
    convolutions. Cost per step ``O(heads * D^2)``; not parallel over time.

    Source: Behrouz et al., Miras, arXiv:2504.13173, equation 25 with (p, q) = (3, 4).
    Here M is a linear map, and gates are one number per head; the paper's language models have an MLP with a
    residual and a norm, and gates per channel of low rank.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        conv_size: length of the convolutions, at least 2.
        rate: the largest inner learning rate.
    """

    rate: float = number(0.1, above=0)

    @property
    def rule(self) -> MonetaRule:
        return MonetaRule(self.size)
