"""memcore's gated cells against Equinox's, run by ``jax.lax.scan``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from harness import Pair
from sizes import Sizes

import memcore
from peers import problems

PACKAGES = ("equinox",)


def gru_params(cell: Any) -> Any:
    """Equinox's parameters of a GRU as memcore's."""
    zeros = jnp.zeros(2 * cell.hidden_size)
    return {
        "input": {"kernel": cell.weight_ih.T, "bias": cell.bias},
        "hidden": {"kernel": cell.weight_hh.T, "bias": jnp.concatenate([zeros, cell.bias_n])},
    }


def lstm_params(cell: Any) -> Any:
    """Equinox's parameters of an LSTM as memcore's."""
    return {
        "input": {"kernel": cell.weight_ih.T, "bias": cell.bias},
        "hidden": {"kernel": cell.weight_hh.T, "bias": jnp.zeros(4 * cell.hidden_size)},
    }


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    x = problems.features(n)

    def scanned(cell: Any, x: Any) -> Any:
        """One sequence, ``x (T, in)`` to ``(T, hidden)``."""

        def body(state: Any, x: Any) -> Any:
            state = cell(x, state)
            return state, jax.tree.leaves(state)[0]

        zeros = jnp.zeros(cell.hidden_size)
        return jax.lax.scan(
            body, (zeros, zeros) if isinstance(cell, eqx.nn.LSTMCell) else zeros, x
        )[1]

    def pair(kind: Any, model: memcore.Model, params_of: Callable[[Any], Any]) -> Pair:
        cell = kind(n.width, n.width, key=jax.random.key(0))
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        theirs = jax.vmap(scanned, in_axes=(None, 0))
        name = f"{kind.__name__} in lax.scan"
        return Pair(name, ours, theirs, (params_of(cell), x), (cell, x))

    def gru() -> Pair:
        return pair(eqx.nn.GRUCell, memcore.GRU(n.width, hidden_size=n.width), gru_params)

    def lstm() -> Pair:
        return pair(eqx.nn.LSTMCell, memcore.LSTM(n.width, hidden_size=n.width), lstm_params)

    return {"gru": gru, "lstm": lstm}
