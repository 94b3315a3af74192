"""`memcore_equinox.Memory`: law 8 (core == adapter), and Equinox's idioms."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import memcore
from adapters import cases
from adapters.cases import BATCH, GRADIENTS, IDIOMS, MODELS, assert_close, case
from cases.models import MODELS as EVERY
from cases.models import ON_JAX
from memcore.testing import check_model
from memcore_equinox import Memory

DROPOUT = MODELS["dropout"]


def module(name: str) -> Memory:
    return Memory(case(name).model, params=case(name).params)


# --- law 8 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_are_those_of_the_core(name: str):
    c = case(name)

    @eqx.filter_value_and_grad(has_aux=True)
    def run(arguments: Any) -> Any:
        memory, xs = arguments
        result = memory(xs, c.state, starts=c.starts)
        return cases.objective(*result), result

    (_, result), gradients = run((module(name), c.xs))
    assert_close(result, c.result)
    by = (gradients[0].params, gradients[1])
    assert_close(tuple(by[i] for i in c.argnums), c.gradients, GRADIENTS)


@pytest.mark.parametrize("name", MODELS)
def test_steps_from_the_initial_state_are_the_sequence(name: str):
    c, memory = case(name), module(name)
    state = memory.initial_state((BATCH,))
    cases.assert_jax_leaves(state)
    assert_close(state, c.apply(c.xs[:, :0])[0], 0.0)
    ys = []
    for t in range(5):
        state, y = memory.step(state, c.xs[:, t], start=c.starts[:, t])
        ys.append(y)
    assert_close((state, jnp.stack(ys, 1)), c.apply(c.xs[:, :5], starts=c.starts[:, :5]))


@pytest.mark.parametrize("name", ON_JAX)
def test_the_law_holds_for_every_model(name: str):
    report = check_model(EVERY[name], backend="jax", dtype="float32", laws=["adapter"], length=5)
    assert [result.holds for result in report.results] == [True]


def test_the_law_catches_an_adapter_that_differs(monkeypatch):
    """Without the starts, or with right values and no gradient."""
    call = Memory.__call__

    def deaf(self: Any, xs: Any, state: Any = None, **how: Any) -> Any:
        return call(self, xs, state)

    def numb(self: Any, *args: Any, **how: Any) -> Any:
        return jax.lax.stop_gradient(call(self, *args, **how))

    for wrong, words in ((deaf, r"\(state, ys\)"), (numb, "gradient")):
        monkeypatch.setattr(Memory, "__call__", wrong)
        with pytest.raises(AssertionError, match=rf"adapter +FAILS +{words} in Equinox"):
            check_model(memcore.LRU(3, state_size=2), backend="jax", laws=["adapter"], length=5)


def test_arguments_reach_the_core():
    c, memory = case("lru"), module("lru")
    valid = jnp.arange(c.xs.shape[1]) < jnp.asarray([17, 9, 1])[:, None]
    for options in (
        {"valid": valid, "starts": c.starts},
        {"method": "associative"},
        {"method": "chunked", "chunk_size": 4},
    ):
        assert_close(memory(c.xs, **options), c.apply(c.xs, **options), 0.0)
    with pytest.raises(ValueError, match="method is 'newton'"):
        memory(c.xs, method="newton")
    with pytest.raises(ValueError, match="chunk_size is 0"):
        memory(c.xs, chunk_size=0)


def test_float64_stays_float64():
    with jax.enable_x64(True):
        params = DROPOUT.init(0, "float64")
        memory, xs = Memory(DROPOUT, params=params), cases.inputs(DROPOUT, 0, 2, 5, dtype="float64")
        state = memory.initial_state((2,))
        expected = DROPOUT.apply(params, np.asarray(xs))
        assert_close(memory(xs, state), jax.tree.map(jnp.asarray, expected), 1e-10)


@pytest.mark.parametrize("model", ["gru", memcore.GRU, None, {"kind": "gru"}])
def test_what_is_no_model_is_named(model: Any):
    for given in ({"key": jax.random.key(0)}, {"params": {}}):
        with pytest.raises(TypeError, match="(?s)^model is .*, expected a memcore.Model"):
            Memory(model, **given)


def test_parameters_of_another_order_of_bytes_and_masked_ones():
    params = DROPOUT.init(0)
    swapped = jax.tree.map(lambda p: p.astype(p.dtype.newbyteorder()), params)
    assert_close(Memory(DROPOUT, params=swapped).params, jax.tree.map(jnp.asarray, params), 0.0)
    with pytest.raises(TypeError, match="^params is a masked array"):
        Memory(DROPOUT, params=jax.tree.map(np.ma.masked_array, params))


# --- parameters ------------------------------------------------------------------------------------


def test_parameters_are_those_that_the_core_draws():
    key = jax.random.key(3)
    assert_close(Memory(DROPOUT, key=key).params, DROPOUT.init(key), 0.0)
    legacy = jax.random.PRNGKey(3)
    assert_close(Memory(DROPOUT, key=legacy).params, DROPOUT.init(key), 0.0)


def test_numpy_parameters_are_trainable():
    params = DROPOUT.init(0)
    memory = Memory(DROPOUT, params=params)
    cases.assert_jax_leaves(memory.params)
    assert_close(memory.params, jax.tree.map(jnp.asarray, params), 0.0)
    assert len(jax.tree.leaves(eqx.filter(memory, eqx.is_inexact_array))) == len(
        jax.tree.leaves(params)
    )


@pytest.mark.parametrize("given", [{}, {"key": jax.random.key(0), "params": {}}])
def test_exactly_one_of_key_and_params(given: dict[str, Any]):
    with pytest.raises(TypeError, match="key or params"):
        Memory(DROPOUT, **given)


def test_model_is_static():
    memory = module("dropout")
    assert memory.model == DROPOUT
    assert jax.tree.structure(memory) == jax.tree.structure(Memory(DROPOUT, params=memory.params))
    assert jax.tree.structure(memory) != jax.tree.structure(Memory(MODELS["lru"], params={}))


# --- Equinox's idioms ------------------------------------------------------------------------------


def test_replace_a_parameter():
    memory = module("lru")
    other = eqx.tree_at(lambda m: m.params["d"], memory, jnp.zeros(6))
    assert_close(other.params, {**memory.params, "d": jnp.zeros(6)}, 0.0)
    assert_close(other(case("lru").xs), other.model.apply(other.params, case("lru").xs), 0.0)


@pytest.mark.parametrize("name", ["tokens", "learned_start"])
def test_ensemble(name: str):
    c = case(name)
    keys = jax.random.split(jax.random.key(4), 3)
    ensemble = eqx.filter_vmap(lambda key: Memory(c.model, key=key))(keys)

    @eqx.filter_jit
    @eqx.filter_vmap(in_axes=(eqx.if_array(0), None))
    def run(memory: Memory, xs: Any) -> Any:
        return memory(xs, starts=c.starts)

    state, ys = run(ensemble, c.xs)
    for i, key in enumerate(keys):
        alone = c.model.apply(c.model.init(key), c.xs, starts=c.starts)
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], (state, ys)), alone)


def test_vmap_over_a_batch_is_the_batch():
    c, memory = case("dropout"), module("dropout")
    state, ys = eqx.filter_vmap(lambda xs, starts: memory(xs, starts=starts))(c.xs, c.starts)
    assert_close((state, ys), c.apply(c.xs, starts=c.starts))


def test_a_module_among_others_under_scan_and_checkpoint():
    """A sequence in pieces, truncated: the state is the carry of the user's own scan."""
    c, memory = case("gru"), module("gru")
    pieces = jnp.stack([c.xs[:, :5], c.xs[:, 5:10], c.xs[:, 10:15]])

    @eqx.filter_jit
    def run(memory: Memory) -> Any:
        return jax.lax.scan(
            eqx.filter_checkpoint(lambda state, xs: memory(xs, state)),
            memory.initial_state((BATCH,)),
            pieces,
        )

    state, ys = run(memory)
    assert_close((state, jnp.concatenate(list(ys), 1)), c.apply(c.xs[:, :15]))


@pytest.mark.requires("optax")
@pytest.mark.parametrize("name", ["tokens", "learned_start"])
def test_training(name: str):
    import optax

    c, traces = case(name), []
    memory = Memory(c.model, key=jax.random.key(6))
    optimizer = optax.sgd(0.05)
    moments = optimizer.init(eqx.filter(memory, eqx.is_inexact_array))

    def loss(memory: Memory, xs: Any) -> Any:
        _, ys = memory(xs, starts=c.starts)
        return jnp.mean((ys - 1.0) ** 2)

    @eqx.filter_jit
    def train_step(memory: Memory, moments: Any, xs: Any) -> Any:
        traces.append(name)
        value, gradients = eqx.filter_value_and_grad(loss)(memory, xs)
        updates, moments = optimizer.update(gradients, moments, memory)
        return eqx.apply_updates(memory, updates), moments, value

    values = []
    for _ in range(10):
        memory, moments, value = train_step(memory, moments, c.xs)
        values.append(float(value))
    assert len(traces) == 1
    assert values[-1] < values[0]
    _, ys = c.model.apply(memory.params, c.xs, starts=c.starts)
    assert_close(loss(memory, c.xs), jnp.mean((ys - 1.0) ** 2))


def test_dropout_follows_the_key():
    c, memory = case("dropout"), module("dropout")
    keys = (None, *jax.random.split(jax.random.key(0)))
    ys = [memory(c.xs, key=key)[1] for key in keys]
    assert not np.allclose(ys[0], ys[1]) and not np.allclose(ys[1], ys[2])
    assert_close(ys[1], c.apply(c.xs, key=keys[1])[1], 0.0)


@pytest.mark.parametrize("name", IDIOMS)
def test_same_shapes_compile_once(name: str):
    c, memory = case(name), module(name)

    def calls(state: Any) -> None:
        state, _ = memory(c.xs, state, starts=c.starts)
        for t in range(3):
            state, _ = memory.step(state, c.xs[:, t], start=c.starts[:, t])

    state = memory.initial_state((BATCH,))
    calls(state)
    with cases.compilations() as seen:
        calls(c.state)
        calls(memory.initial_state((BATCH,)))
        calls(Memory(c.model, params=c.params).initial_state((BATCH,)))
    assert seen == []


def test_serialisation(tmp_path: Path):
    memory, path = module("dropout"), tmp_path / "memory.eqx"
    eqx.tree_serialise_leaves(path, memory)
    like = eqx.filter_eval_shape(Memory, DROPOUT, key=jax.random.key(1))
    assert_close(eqx.tree_deserialise_leaves(path, like).params, memory.params, 0.0)
    again = pickle.loads(pickle.dumps(memory))
    assert again.model == DROPOUT
    assert_close(again.params, memory.params, 0.0)


def test_missing_equinox_names_the_extra():
    expected = 'ImportError: memcore_equinox needs equinox: pip install "memcore[equinox]"'
    assert cases.import_without("equinox", "import memcore_equinox") == expected
