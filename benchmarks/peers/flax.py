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


def lstm_params(p: Any) -> Any:
    """Flax's parameters of an LSTM as memcore's."""
    kernels = {
        part: jnp.concatenate([p[f"{part}{gate}"]["kernel"] for gate in "ifgo"], axis=1)
        for part in "ih"
    }
    bias = jnp.concatenate([p[f"h{gate}"]["bias"] for gate in "ifgo"])
    return {
        "input": {"kernel": kernels["i"], "bias": jnp.zeros_like(bias)},
        "hidden": {"kernel": kernels["h"], "bias": bias},
    }


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    x = problems.features(n)

    def pair(cell: Any, model: memcore.Model, params_of: Callable[[Any], Any]) -> Pair:
        rnn = linen.RNN(cell)
        variables = rnn.init(jax.random.key(0), x)
        params = params_of(variables["params"]["cell"])
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        name = f"nn.RNN({type(cell).__name__})"
        return Pair(name, ours, rnn.apply, (params, x), (variables, x))

    def gru() -> Pair:
        model = memcore.GRU(n.width, hidden_size=n.width)
        return pair(linen.GRUCell(n.width), model, gru_params)

    def lstm() -> Pair:
        model = memcore.LSTM(n.width, hidden_size=n.width)
        return pair(linen.OptimizedLSTMCell(n.width), model, lstm_params)

    return {"gru": gru, "lstm": lstm}
