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


def pairs(n: Sizes) -> dict[str, Callable[[], Pair]]:
    x = problems.features(n)

    def scanned(cell: Any, x: Any) -> Any:
        """One sequence, ``x (T, in)`` to ``(T, hidden)``."""

        def body(state: Any, x: Any) -> Any:
            state = cell(x, state)
            return state, state

        return jax.lax.scan(body, jnp.zeros(cell.hidden_size), x)[1]

    def gru() -> Pair:
        cell = eqx.nn.GRUCell(n.width, n.width, key=jax.random.key(0))
        model = memcore.GRU(n.width, hidden_size=n.width)
        ours = lambda params, x: model.apply(params, x)[1]  # noqa: E731
        theirs = jax.vmap(scanned, in_axes=(None, 0))
        return Pair("GRUCell in lax.scan", ours, theirs, (gru_params(cell), x), (cell, x))

    return {"gru": gru, "lstm": problems.no_lstm}
