"""Memora."""

from __future__ import annotations

from dataclasses import dataclass

from memcore import nn
from memcore.cell import Params
from memcore.layers.inner_block import InnerBlock
from memcore.ops.inner.memora import MemoraRule
from memcore.registry import register


@register("memora")
@dataclass(frozen=True)
class Memora(InnerBlock):
    """A matrix of distributions per head, trained at every step by descent on their logarithms.

        e_t = k_t W_{t-1} - v_t;   W_t = softmax(alpha_t log W_{t-1} - 2 eta_t k_t^T e_t) over the keys
        y_t = W_o (RMSNorm(q_t W_t) * silu(W_g x_t))

    with ``alpha, eta / rate = sigmoid`` of linear maps of ``x_t``, and the softmax of a parameter at
    starts; keys, queries and values as in `NeuralMemory`. State: ``memory``, W ``(heads, D, D)``;
    ``conv``, the last inputs of the convolutions. Cost per step ``O(heads * D^2)``; not parallel over
    time.

    Source: Behrouz et al., Miras, arXiv:2504.13173, equation 27.
    Here M is a linear map, and gates are one number per head; the paper's language models have an MLP with a
    residual and a norm, and gates per channel of low rank.

    Args:
        in_features: width of inputs and outputs.
        heads: number of heads; D is ``in_features / heads``.
        conv_size: length of the convolutions, at least 2.
        rate: the largest inner learning rate.
    """

    @property
    def rule(self) -> MemoraRule:
        return MemoraRule(self.size)

    def memory(self, params: Params) -> Params:
        return {"weight": nn.softmax(params["weight"].mT).mT}
