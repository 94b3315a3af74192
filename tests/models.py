"""A small instance of every registered model, with its independent reference where it has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import memcore
from references.attention import attention
from references.composed import backward, bidirectional, by_sequence
from references.gated_delta_net import gated_delta_net
from references.gru import gru
from references.linear_attention import linear_attention
from references.lru import lru
from references.lstm import lstm
from references.mamba import mamba, s6
from references.residual_stack import residual_stack
from references.ttt_linear import ttt_linear

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
    "attention_cache": memcore.Attention(8, heads=2, window=None, capacity=40, position=None),
    "attention_sinks": memcore.Attention(6, heads=3, window=3, position=None, sinks=True),
    "s6": memcore.S6(5, state_size=3, rank=2),
    "mamba": memcore.Mamba(4, state_size=3, expand=2, conv_size=3),
    "ttt_linear": memcore.TTTLinear(6, heads=2, mini_batch=4),
    "ttt_linear_of_one": memcore.TTTLinear(6, heads=2, mini_batch=1),
    "bidirectional": memcore.Bidirectional(memcore.GRU(4, hidden_size=3)),
    "backward": memcore.Backward(memcore.LRU(3, state_size=4)),
    "learned_state": memcore.LearnedState(memcore.GRU(4, hidden_size=3)),
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
    "attention_cache": lambda p, x, s: attention(p, x, s, heads=2, window=99, position=None)[1],
    "attention_sinks": lambda p, x, s: attention(p, x, s, heads=3, window=3, position=None)[1],
    "s6": lambda p, x, s: s6(p, x, s)[1],
    "mamba": lambda p, x, s: mamba(p, x, s)[1],
    "ttt_linear": lambda p, x, s: ttt_linear(p, x, s, heads=2, mini_batch=4)[1],
    "ttt_linear_of_one": lambda p, x, s: ttt_linear(p, x, s, heads=2, mini_batch=1)[1],
    "bidirectional": lambda p, x, s: bidirectional(lambda p, x: gru(p, x)[1], p, x, s),
    "backward": lambda p, x, s: backward(lambda p, x: lru(p, x)[1], p, x, s),
    "learned_state": lambda p, x, s: by_sequence(
        lambda p, x: gru(p["model"], x, None, p["initial"][""])[1], p, x, s
    ),
    "residual_stack": lambda p, x, s: residual_stack(p, x, s, inner=_inside)[1],
    "residual_stack_tokens": lambda p, x, s: residual_stack(
        p, x, s, inner=lambda p, x, s: gru(p, x, s)[1]
    )[1],
}
