"""Weights of equinox.nn against Equinox itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest

import memcore
from convert.frameworks import check
from memcore.convert import SOURCES, from_weights


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


class Action(eqx.Module):
    """What a cell of memax holds, by its names there."""

    U_h: eqx.nn.Linear | None = None
    activation: Callable[[Any], Any] = jnp.tanh
    recurrent_kernel: Any = None
    bias: Any = None
    recurrent_min_abs: float = 0.0
    recurrent_max_abs: float = 2.0 ** (1 / 1024)


class Resettable(eqx.Module):
    algebra: Action


class Layer(eqx.Module):
    algebra: Resettable
    W_h: eqx.nn.Linear | None = None


@pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.tanh])
def test_a_module_of_memax_tells_its_activation(activation: Any) -> None:
    keys = jax.random.split(jax.random.key(0))
    recurrent = eqx.nn.Linear(4, 4, key=keys[0])
    project = eqx.nn.Linear(3, 4, use_bias=False, key=keys[1])
    layer = Layer(Resettable(Action(recurrent, activation)), project)

    def step(h: Any, x: Any) -> Any:
        h = activation(recurrent(h) + project(x))
        return h, h

    check("memax.Elman", layer, step, jnp.zeros(4))


@pytest.mark.parametrize(
    ("field", "value"),
    [("activation", jnp.tanh), ("recurrent_max_abs", 2.0), ("recurrent_min_abs", 0.5)],
)
def test_an_ind_rnn_of_other_settings_is_named(field: str, value: Any) -> None:
    given: dict[str, Any] = {"recurrent_kernel": jnp.ones(4), "bias": jnp.zeros(4)}
    given |= {"activation": jax.nn.relu}
    model, _ = from_weights("memax.IndRNN", Layer(Resettable(Action(**given))))
    assert model == memcore.IndRNN(4, hidden_size=4)
    with pytest.raises(ValueError, match=rf"^weights\.algebra\.algebra\.{field} is .*, expected"):
        from_weights("memax.IndRNN", Layer(Resettable(Action(**(given | {field: value})))))
