"""memcore against memorax 1.0.1, whose imports need an environment of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
from flax import linen
from harness import Pair
from memorax.networks.sequence_models import LinearAttentionCell, Memoroid
from sizes import Sizes

import memcore
from memcore import nn
from peers import problems

PACKAGES = ("memorax", "flax")


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    starts, x = problems.starts(n), problems.features(n)

    def linear_attention() -> Pair:
        initializers = linen.initializers.lecun_normal(), linen.initializers.zeros
        cell = LinearAttentionCell(n.size, n.heads, *initializers, "float32")
        layer = Memoroid(cell)
        mask = starts.astype("float32")
        variables = layer.init(jax.random.key(0), x, mask)

        def theirs(variables: Any, x: Any) -> Any:
            return layer.apply(variables, x, mask)[1]

        def ours(variables: Any, x: Any) -> Any:
            p = variables["params"]["cell"]

            def head(name: str) -> Any:
                kernel = p[name]["kernel"]
                u = x @ kernel.reshape(kernel.shape[0], -1)
                return u.reshape(*x.shape[:2], n.heads, n.size)

            q, k = (nn.elu_plus_one(head(name)) for name in ("query", "key"))
            out = memcore.ops.linear_attention(q, k, head("value"), starts=starts, normalise=True)
            y = nn.rms_norm(p["RMSNorm_0"], nn.merge_heads(out[1]))
            return nn.linear(p["Dense_0"], y)

        return Pair("LinearAttentionCell", ours, theirs, (variables, x))

    return {"linear_attention": linear_attention}
