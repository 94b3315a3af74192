"""memcore's gated cells against Flax's, run by ``linen.RNN``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen
from harness import Pair
from sizes import Sizes

import memcore
from peers import problems

PACKAGES = ("flax",)


def gru_params(p: Any) -> Any:
    """Flax's parameters of a GRU as memcore's."""

    def joined(names: tuple[str, ...]) -> Any:
        return jnp.concatenate([p[name]["kernel"] for name in names], axis=1)

    hidden_bias = p["hn"]["bias"]
    zeros = jnp.zeros(2 * len(hidden_bias))
    bias = jnp.concatenate([p[name]["bias"] for name in ("ir", "iz", "in")])
    return {
        "input": {"kernel": joined(("ir", "iz", "in")), "bias": bias},
        "hidden": {
            "kernel": joined(("hr", "hz", "hn")),
            "bias": jnp.concatenate([zeros, hidden_bias]),
        },
    }


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    x = problems.features(n)

    def gru() -> Pair:
        rnn = linen.RNN(linen.GRUCell(n.width))
        variables = rnn.init(jax.random.key(0), x)
        model = memcore.GRU(n.width, hidden_size=n.width)
        params = gru_params(variables["params"]["cell"])
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        return Pair("nn.RNN(GRUCell)", ours, rnn.apply, (params, x), (variables, x))

    return {"gru": gru, "lstm": problems.no_lstm}
