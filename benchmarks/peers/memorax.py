"""memcore against memorax 1.0.1, whose imports need an environment of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from harness import Pair
from memorax.networks.sequence_models import (
    RNN,
    FFMCell,
    LinearAttentionCell,
    LRUCell,
    MambaCell,
    Memoroid,
    MinGRUCell,
    S5Cell,
    SelfAttention,
    SHMCell,
    mLSTMCell,
    sLSTMCell,
)
from sizes import Sizes

import memcore
from memcore import nn
from memcore.convert import from_weights
from peers import problems

PACKAGES = ("memorax", "flax")


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    starts, x = problems.starts(n), problems.features(n)
    initializers = linen.initializers.lecun_normal(), linen.initializers.zeros
    mask = starts.astype("float32")

    def pair(layer: Any, ours: Callable[..., Any]) -> Pair:
        variables = layer.init(jax.random.key(0), x, mask)

        def theirs(variables: Any, x: Any) -> Any:
            return layer.apply(variables, x, mask)[1]

        name = type(getattr(layer, "cell", layer)).__name__
        return Pair(name, ours, theirs, (variables, x))

    def linear_attention() -> Pair:
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

        cell = LinearAttentionCell(n.size, n.heads, *initializers, "float32")
        return pair(Memoroid(cell), ours)

    def lru() -> Pair:
        model = memcore.LRU(n.width, state_size=n.width)

        def ours(variables: Any, x: Any) -> Any:
            p = variables["params"]["cell"]
            params = {name: p[name] for name in ("nu_log", "theta_log", "gamma_log")}
            params |= {
                f"{name.lower()}_{part[:2]}": p[f"{name}_{part}"].T
                for name in ("B", "C")
                for part in ("real", "imag")
            }
            params["d"] = p["D"]
            return model.apply(params, x, starts=starts)[1]

        return pair(Memoroid(LRUCell(n.width, n.width)), ours)

    def self_attention() -> Pair:
        # Its context is the whole sequence: it takes no longer one than that.
        def ours(variables: Any, x: Any) -> Any:
            p = variables["params"]
            q, k, v = (
                jnp.einsum("btf,fhk->bthk", x, p[name]["kernel"]) + p[name]["bias"]
                for name in ("query", "key", "value")
            )
            y = memcore.ops.window_attention(q, k, v, None, starts=starts)[1]
            return jnp.einsum("bthk,hkf->btf", y, p["out"]["kernel"]) + p["out"]["bias"]

        layer = SelfAttention(n.width, n.heads, n.length, "float32", "float32", *initializers)
        return pair(layer, ours)

    def converted(layer: Any) -> Callable[[], Pair]:
        """The layer's weights in the model that `from_weights` makes of them."""
        name = type(layer.cell).__name__

        def build() -> Pair:
            variables = layer.init(jax.random.key(0), x, mask)
            model, params = from_weights(f"memorax.{name}", variables)
            params = jax.tree.map(jnp.asarray, params)

            def ours(params: Any, x: Any) -> Any:
                return model.apply(params, x, starts=starts)[1]

            def theirs(variables: Any, x: Any) -> Any:
                return layer.apply(variables, x, mask)[1]

            return Pair(name, ours, theirs, (params, x), (variables, x))

        build.__name__ = name
        return build

    def other(layer: Any, model: Any, note: str) -> Callable[[], Pair]:
        name = type(layer.cell).__name__

        def build() -> Pair:
            variables, params = (
                layer.init(jax.random.key(0), x, mask),
                model.init(jax.random.key(0)),
            )

            def ours(params: Any, x: Any) -> Any:
                return model.apply(params, x, starts=starts)[1]

            def theirs(variables: Any, x: Any) -> Any:
                return layer.apply(variables, x, mask)[1]

            how: dict[str, Any] = {"same": False, "note": f"time only: {note}"}
            return Pair(name, ours, theirs, (params, x), (variables, x), **how)

        build.__name__ = name
        return build

    layers = (
        Memoroid(MinGRUCell(n.width)),
        Memoroid(S5Cell(n.width, n.size)),
        Memoroid(FFMCell(n.width, memory_size=32, context_size=4)),
        RNN(sLSTMCell(n.width, n.width, n.heads)),
        RNN(SHMCell(n.size, n.width, sample_theta=False)),
    )
    others = (
        other(
            Memoroid(mLSTMCell(n.width, n.width, n.heads)),
            memcore.MLSTM(n.width, heads=n.heads, expand=1),
            "it has no block around it: no convolution, no gate and one projection in less",
        ),
        other(
            Memoroid(MambaCell(n.width, n.heads, 2 * n.width // n.heads, 16)),
            memcore.Mamba(n.width),
            "a decay for a head, where memcore has one for a channel and a state",
        ),
    )
    builders = (linear_attention, lru, self_attention, *map(converted, layers), *others)
    return {build.__name__: build for build in builders}
