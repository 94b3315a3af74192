"""memcore's full causal attention against JAX's own."""

from __future__ import annotations

from collections.abc import Callable

import jax
from harness import Pair
from sizes import Sizes

import memcore
from peers import problems

PACKAGES = ()


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    def attention() -> Pair:
        return Pair(
            "dot_product_attention, causal",
            lambda *qkv: memcore.ops.window_attention(*qkv, window=None)[1],
            lambda *qkv: jax.nn.dot_product_attention(*qkv, is_causal=True),
            problems.heads(n),
        )

    return {"attention": attention}
