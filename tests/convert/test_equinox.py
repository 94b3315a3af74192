"""Weights of equinox.nn against Equinox itself."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

from convert.frameworks import check
from memcore.convert import SOURCES


def test_every_source_is_here() -> None:
    known = {name for name in SOURCES if name.startswith("equinox.")}
    assert known == {"equinox.nn.GRUCell", "equinox.nn.LSTMCell"}


@pytest.mark.parametrize("bias", [True, False])
def test_gru(bias: bool) -> None:
    cell = eqx.nn.GRUCell(3, 4, use_bias=bias, key=jax.random.key(0))

    def step(h: Any, x: Any) -> Any:
        h = cell(x, h)
        return h, h

    check("equinox.nn.GRUCell", cell, step, jnp.zeros(4))


@pytest.mark.parametrize("bias", [True, False])
def test_lstm(bias: bool) -> None:
    cell = eqx.nn.LSTMCell(3, 4, use_bias=bias, key=jax.random.key(0))

    def step(carry: Any, x: Any) -> Any:
        carry = cell(x, carry)
        return carry, carry[0]

    zero = jnp.zeros(4)
    check("equinox.nn.LSTMCell", cell, step, (zero, zero))
    flat = {name: getattr(cell, name) for name in ("weight_ih", "weight_hh", "bias")}
    check("equinox.nn.LSTMCell", flat, step, (zero, zero))
