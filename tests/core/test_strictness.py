"""JAX's strict modes, which people set to find mistakes in their own code."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import memcore
from cases.checks import drawn, half_or_flag
from cases.models import MODELS, ON_JAX
from cases.ops import OPS
from conftest import Backend

pytestmark = pytest.mark.backend("jax")


def problem(name: str, backend: Backend) -> tuple[Any, ...]:
    """Parameters, inputs of two sequences, starts and valid."""
    model, rng = MODELS[name], np.random.default_rng(0)
    if model.input_ndim:
        shape = (2, 6, *(3,) * (model.input_ndim - 1), model.in_features)
        xs = rng.standard_normal(shape).astype(np.float32)
    else:
        xs = rng.integers(0, model.in_features, (2, 6)).astype(np.int32)
    flags = rng.random((2, 6)) < 0.3, rng.random((2, 6)) < 0.7
    made: tuple[Any, ...] = backend.asarray((model.init(0), xs, *flags))
    return made


@pytest.mark.parametrize("name", ON_JAX)
def test_beside_a_run(name: str, backend: Backend) -> None:
    """What makes parameters and states, a reset and a step; runs and their gradients are in the laws' test.

    With ``jax_numpy_rank_promotion="raise"`` JAX looks at ranks while it traces.
    """
    import jax

    model, (params, xs, starts, _) = MODELS[name], problem(name, backend)
    key, first = jax.random.key(0), (xs[:, 0], starts[:, 0])

    def begin(params: Any) -> Any:
        return memcore.initial_state(model, params, (2,))

    def again(params: Any, state: Any, start: Any) -> Any:
        return memcore.reset(model, params, state, start)

    state = backend.asarray(begin(params))  # those of a model without parameters are NumPy's
    with jax.transfer_guard("disallow"), jax.numpy_rank_promotion("raise"):
        jax.jit(model.init)(key)
        jax.jit(begin)(params)
        jax.jit(again)(params, state, first[1])
        if model.causal:
            memcore.step(model, params, state, first[0], start=first[1])


FIRST_RUN = """
import jax, memcore
model, key = memcore.GRU(3), jax.random.key(0)
params, xs, starts = model.init(key), jax.random.normal(key, (2, 5, 3)), jax.numpy.ones((2, 5), bool)
with jax.transfer_guard("disallow"):
    model.apply(params, xs, starts=starts)
"""


def test_the_first_run_of_a_process(backend: Backend) -> None:
    """What is looked up once moves nothing that a guard would find either."""
    subprocess.run([sys.executable, "-c", FIRST_RUN], check=True, capture_output=True)


def test_a_rank_is_looked_at_while_tracing(backend: Backend) -> None:
    """What the tests beside this one and the laws' count on."""
    import jax

    wide, narrow = backend.asarray((np.ones((2, 3), "float32"), np.ones(3, "float32")))
    with jax.numpy_rank_promotion("raise"), pytest.raises(ValueError, match="rank_promotion"):
        jax.eval_shape(jax.jit(lambda x: x + narrow), wide)


@pytest.mark.parametrize("name", OPS)
def test_rules_promote_no_ranks_by_mistake(name: str, backend: Backend) -> None:
    import jax
    import optree

    op, *given = drawn(name, 6)
    arrays, state, initial, starts, valid = backend.asarray(
        [optree.tree_map(half_or_flag, tree) for tree in given]
    )

    def loss(arrays: Any) -> Any:
        how = {"initial": initial, "starts": starts, "valid": valid}
        return sum(out.sum() for out in jax.tree.leaves(op.run(arrays, state, **how)[1]))

    with jax.numpy_rank_promotion("raise"):
        jax.eval_shape(jax.value_and_grad(loss), arrays)


@pytest.mark.parametrize("name", ["gru", "lru", "gated_delta_net", "attention", "residual_stack"])
def test_a_search_for_nans_finds_none(name: str, backend: Backend) -> None:
    """``disable_jit`` and ``debug_nans``: nothing makes a NaN on the way to numbers."""
    import jax

    model, (params, xs, starts, valid) = MODELS[name], problem(name, backend)
    want = model.apply(params, xs, starts=starts, valid=valid)[1]
    with jax.disable_jit(), jax.debug_nans(True):
        for method in ("auto", "sequential"):
            how: Any = {"starts": starts, "valid": valid, "method": method}
            state, ys = model.apply(params, xs, **how)
            np.testing.assert_allclose(ys, want, rtol=1e-4, atol=1e-5)
        memcore.step(model, params, state, xs[:, 0], start=starts[:, 0])
        with pytest.raises(FloatingPointError):
            model.apply(params, xs * np.nan, starts=starts)


@pytest.mark.parametrize("name", ["gru", "lru"])
def test_a_search_for_nans_stops_at_no_infinity_that_is_left_behind(
    name: str, backend: Backend
) -> None:
    """A state that is not finite, in front of a start."""
    import jax

    model, (params, xs, starts, _) = MODELS[name], problem(name, backend)
    state = memcore.initial_state(model, params, (2,))
    state = jax.tree.map(lambda leaf: jax.numpy.full(leaf.shape, np.inf), state)
    with jax.disable_jit(), jax.debug_nans(True):
        ys = model.apply(params, xs, state, starts=starts.at[:, 0].set(True))[1]
    assert np.isfinite(ys).all()


def test_a_last_axis_may_be_empty(backend: Backend) -> None:
    """Nothing there is not finite: values of no width."""
    k, v = (backend.asarray(np.ones((1, 8, 2, n), np.float32)) for n in (4, 0))
    assert memcore.ops.linear_attention(k, k, v)[1].shape == (1, 8, 2, 0)
