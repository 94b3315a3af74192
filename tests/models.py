"""A small instance of every registered model, with its independent reference where it has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import memcore
from references.attention import attention
from references.gated_delta_net import gated_delta_net
from references.gru import gru
from references.linear_attention import linear_attention
from references.lru import lru
from references.lstm import lstm
from references.residual_stack import residual_stack

_LRU = memcore.LRU(6, state_size=5)
_NET = memcore.GatedDeltaNet(6, heads=2, key_size=4, value_size=3)

MODELS: dict[str, memcore.Model] = {
    "lru": memcore.LRU(5, state_size=6),
    "gru": memcore.GRU(5, hidden_size=6),
    "lstm": memcore.LSTM(4, hidden_size=5),
    "linear_attention": memcore.LinearAttention(6, heads=2, key_size=4),
    "gated_delta_net": _NET,
    "gated_delta_net_negative": memcore.GatedDeltaNet(6, heads=3, negative_eigenvalues=True),
    "attention": memcore.Attention(8, heads=2, window=4),
    "attention_alibi": memcore.Attention(6, heads=2, window=20, position="alibi"),
    "attention_plain": memcore.Attention(6, heads=3, window=1, position=None),
    "residual_stack": memcore.ResidualStack(
        3, model=(_LRU, _NET), layers=2, out_features=4, position="learned", max_length=8
    ),
    "residual_stack_tokens": memcore.ResidualStack(
        7, model=memcore.GRU(6, hidden_size=5), layers=1, tokens=True, mlp_factor=0
    ),
}
"""By the registered name, and what tells variants of it apart."""

Reference = Callable[[Any, Any, Any], Any]


def _inside(params: Any, xs: Any, starts: Any) -> Any:
    """The layer inside the residual stack, by its parameters."""
    if "nu_log" in params:
        return lru(params, xs, starts)[1]
    return gated_delta_net(params, xs, starts, heads=2)[1]


REFERENCES: dict[str, Reference] = {
    "lru": lambda p, x, s: lru(p, x, s)[1],
    "gru": lambda p, x, s: gru(p, x, s)[1],
    "lstm": lambda p, x, s: lstm(p, x, s)[1],
    "linear_attention": lambda p, x, s: linear_attention(p, x, s, heads=2)[1],
    "gated_delta_net": lambda p, x, s: gated_delta_net(p, x, s, heads=2)[1],
    "gated_delta_net_negative": lambda p, x, s: gated_delta_net(
        p, x, s, heads=3, negative_eigenvalues=True
    )[1],
    "attention": lambda p, x, s: attention(p, x, s, heads=2, window=4, position="rope")[1],
    "attention_alibi": lambda p, x, s: attention(p, x, s, heads=2, window=20, position="alibi")[1],
    "attention_plain": lambda p, x, s: attention(p, x, s, heads=3, window=1, position=None)[1],
    "residual_stack": lambda p, x, s: residual_stack(p, x, s, inner=_inside)[1],
    "residual_stack_tokens": lambda p, x, s: residual_stack(
        p, x, s, inner=lambda p, x, s: gru(p, x, s)[1]
    )[1],
}
